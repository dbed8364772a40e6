/** What a failed remote command means, from the words of the command plugin and of the script. Pure. */
import type { Problem } from "../problem.js";

/** Whose command failed. */
export interface FailedStep {
  readonly host: string;
  readonly address: string;
  /** e.g. `prepare` */
  readonly step: string;
}

/** `again`: worth another try after a pause. */
export interface Failure {
  readonly again: boolean;
  /** Undefined when the script has told what is wrong. */
  readonly problem: Problem | undefined;
}

/**
 * Reads the error of one try. The plugin's own words come from Go's golang.org/x/crypto/ssh and net, or from the stand-in's ssh2.
 */
export function explainFailure(error: string, at: FailedStep): Failure {
  const path = `hosts.${at.host}`;
  const where = `${at.host} (${at.address}), step ${at.step}`;
  // Whatever a script made of it: a full disk is what has to be mended.
  if (
    /No space left on device|\bENOSPC\b|Disk quota exceeded/.test(error) &&
    !/ CLU-DISK-FULL /.test(error)
  ) {
    return {
      again: false,
      problem: {
        code: "CLU-DISK-FULL",
        path,
        message: `${where}: its disk is full`,
        remedy: "make room there (df -h), then run up again",
      },
    };
  }
  // a script's own problem, one line each
  if (/^error: \S+ +CLU-[A-Z-]+ /m.test(error)) return { again: false, problem: undefined };
  // as `timeout` of coreutils ends; 137 after the signal that nothing survives
  if (/exited with status (124|137)\b/i.test(error)) {
    return {
      again: false,
      problem: {
        code: "CLU-STEP-DEADLINE",
        path,
        message: `${where}: it was ended at its limit of time`,
        remedy: "see what the machine waits for (its way out, a package manager's lock), then run up again",
      },
    };
  }
  if (/CMD-FAILED|exited with status \d/i.test(error)) return { again: false, problem: failed(path, where) };
  if (/CMD-HOST-KEY|host key|knownhosts: key mismatch/i.test(error)) {
    return {
      again: false,
      problem: {
        code: "CLU-HOST-KEY-CHANGED",
        path: `${path}.hostKey`,
        message: `${where}: the machine shows another host key than was given`,
        remedy: "if the machine was made anew, give its new key; if not, somebody else answers there",
      },
    };
  }
  if (
    /CMD-LOGIN-REFUSED|unable to authenticate|authentication methods failed|permission denied \(publickey/i.test(
      error,
    )
  ) {
    return {
      // a machine that was just started lets its key in a moment later than it listens; a bastion bans those who try often
      again: true,
      problem: {
        code: "CLU-HOST-KEY-REFUSED",
        path: `${path}.privateKey`,
        message: `${where}: the machine, or its bastion, does not take the key`,
        remedy: "see that the public key is in authorized_keys of that user, and that `user` is right",
      },
    };
  }
  if (
    /CMD-UNREACHABLE|\bdial\b|i\/o timeout|timed out|refused|no route|unreachable|no such host|ENOTFOUND|EAI_AGAIN|handshake failed|kex_exchange|administratively prohibited/i.test(
      error,
    )
  ) {
    return {
      again: true,
      problem: {
        code: "CLU-HOST-UNREACHABLE",
        path,
        message: `${where}: it does not answer (${lastLine(error)})`,
        remedy:
          "see that the machine runs and that its address, port and bastion are right; then run up again",
      },
    };
  }
  if (
    /CMD-LOST|without exit status|connection (was )?(lost|closed|reset)|broken pipe|\bEOF\b|ECONNRESET/i.test(
      error,
    )
  ) {
    return {
      again: true,
      problem: {
        code: "CLU-CONNECTION-LOST",
        path,
        message: `${where}: the connection was lost, and did not come back`,
        remedy: "run up again: what runs on the machine goes on and is found again",
      },
    };
  }
  return { again: false, problem: failed(path, where) };
}

function failed(path: string, where: string): Problem {
  return {
    code: "CLU-STEP-FAILED",
    path,
    message: `${where} failed`,
    remedy: "the command's own words are above; run up again once that is mended",
  };
}

function lastLine(text: string): string {
  return (text.trim().split("\n").at(-1) ?? "").slice(0, 200);
}

/** Limits of trying again. */
export interface Patience {
  /** Seconds from the first failure of a step. */
  readonly total: number;
  /** Tries with a key that is refused. */
  readonly refusals: number;
}

/**
 * Seconds to wait before the next try, 2, 4, 8 ... 30 long; undefined to give up.
 *
 * @param errors of this step in this run, newest first
 * @param waited seconds since the first of them
 */
export function pauseBefore(
  errors: readonly string[],
  at: FailedStep,
  waited: number,
  patience: Patience,
): number | undefined {
  const failure = explainFailure(errors[0] ?? "", at);
  if (!failure.again || waited >= patience.total) return undefined;
  const refused = errors.filter((e) => explainFailure(e, at).problem?.code === "CLU-HOST-KEY-REFUSED").length;
  if (refused >= patience.refusals) return undefined;
  return Math.min(30, 2 ** Math.min(errors.length, 5), Math.max(1, patience.total - waited));
}
