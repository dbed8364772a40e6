/** Images of ours that a cluster runs, by name: what `dynamos-fabric images` builds, but for the development issuer. */
export const OUR_IMAGES = ["gateway", "orchestrator", "enforcer", "agent", "setup", "microservice"] as const;
/** All that a cluster runs. */
export const IMAGE_NAMES = [...OUR_IMAGES, "broker", "store"] as const;
