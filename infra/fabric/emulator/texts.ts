/** The real services' words for what a scenario may want to happen. Source: ControlFramework 30e67e2, CredentialManager 9410f5a. */
export const texts = {
  notStableModify: "Unable to modify Slice# {slice} that is not yet stable, try again later",
  notStableDelete: "Unable to delete Slices ['{slice}'] that are not yet stable, try again later",
  notStableRenew: "Unable to renew Slice# {slice} that is not yet stable, try again later",
  maintenance: "Testbed is in maintenance mode: Create, Modify and Renew Slice(s) are disabled!",
  database: "Slice could not be added to Database",
  noBroker:
    "Unable to determine broker proxy for this controller. Please check Orchestrator container configuration and logs.",
  expiredToken: "Unable to validate provided token: ValidateCode.INVALID/Signature has expired",
  noHosts: "Insufficient resources: No hosts available to provision the {name}",
  /** The credential manager's, to everything it did not foresee. */
  credentialManager: "An internal error occurred. Please try again or contact support.",
  deadRefreshToken: "Refresh token is invalid or has expired. Please re-login to obtain a new token.",
} as const;
