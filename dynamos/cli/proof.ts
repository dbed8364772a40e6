import { join, resolve } from "node:path";
import { InfraError } from "../../infra/problem.js";
import { GatewayClient } from "../client/gateway-client.js";
import { readExperiment } from "../experiment.js";
import { runSeed } from "../runs/draw.js";
import { reasonLine, roundResult } from "../runs/result.js";
import { parseSettings } from "../runs/settings.js";
import { accessTo } from "../runs/stack-access.js";
import { developmentIssuer, requesterToken, TOKEN_VARIABLE } from "../runs/user-token.js";
import type { CommandContext } from "./context.js";

/** Rounds of the training that `up` ends with. */
const proofRounds = 3;

/**
 * What `up` ends with: a real approved training of three rounds where the experiment describes one, the gateway's URL and what to do next.
 * A refusal is told as such and is not a failure of `up`: the policy may well say no.
 *
 * Throws EXP-PROOF when the training breaks down.
 */
export async function afterUp(
  context: CommandContext,
  say: (line: string) => void = console.log,
): Promise<void> {
  const { spec, project, state } = context;
  if (spec.target !== "local") return;
  const { experiment } = readExperiment(resolve(project, spec.experiment), spec.experiment);
  const stack = accessTo(state);
  const issuer = developmentIssuer(state);
  if (Object.keys(experiment.settings).length > 0 && issuer === undefined && !process.env[TOKEN_VARIABLE]) {
    say(`no training was done: set ${TOKEN_VARIABLE} to a requester's token of ${spec.users?.issuer}`);
  } else if (Object.keys(experiment.settings).length > 0) {
    const settings = parseSettings(experiment.settings, join(spec.experiment, "experiment.yaml"));
    const token = await requesterToken(state, settings.user.userName);
    const began = performance.now();
    const client = new GatewayClient({ url: stack.gateway, token });
    const accepted = await client.submit({
      type: settings.request,
      user: settings.user,
      dataProviders: settings.dataProviders,
      data: { ...settings.data, rounds: proofRounds, seed: runSeed(settings.seed, 1) },
    });
    if (accepted.status === "refused") {
      say(
        `${settings.request} by ${settings.user.userName}: refused, as the agreements stand: ${reasonLine(accepted) ?? "no reason given"}`,
      );
    } else {
      say(`${settings.request} by ${settings.user.userName}: approved`);
      const end = await client.job(accepted.jobId).follow((report) => {
        const { round, status, accuracy, reason } = roundResult(report);
        say(
          `  round ${round}/${proofRounds}  ${status}${accuracy === undefined ? "" : `  accuracy ${accuracy.toFixed(3)}`}${reason === undefined ? "" : `  ${reason}`}`,
        );
      });
      if (end.status === "failed") throw broken(end.problem?.message ?? end.reason ?? "no reason given");
      say(`  ${end.status} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    }
  }
  say(`gateway: ${stack.gateway}`);
  if (issuer !== undefined)
    say(
      `users: development issuer ${issuer.url} (anybody with this stack's folder is anybody); dynamos-fabric token --user NAME`,
    );
  say("next: npm run experiment · npm run status · npm run down");
}

const broken = (why: string): InfraError =>
  new InfraError({
    code: "EXP-PROOF",
    message: `everything is up, but the first training failed: ${why}`,
    remedy: "npm run logs shows what the services say",
  });
