import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { explainFailure, pauseBefore } from "../../../infra/cluster/failure.js";

const at = { host: "losa", address: "192.0.2.7", step: "prepare" };
const patience = { total: 300, refusals: 3 };
/** What the official plugin says (issues 35, 199 and 1238 of pulumi-command, golang.org/x/crypto/ssh), and what its stand-in says. */
const said: Readonly<Record<string, readonly [string, string, boolean]>> = {
  "a time-out": [
    "after 10 failed attempts: dial tcp 192.0.2.7:22: i/o timeout",
    "CLU-HOST-UNREACHABLE",
    true,
  ],
  "a refusal": [
    "after 3 failed attempts: dial tcp 192.0.2.7:22: connect: connection refused",
    "CLU-HOST-UNREACHABLE",
    true,
  ],
  "no route": ["dial tcp [2001:db8::7]:22: connect: no route to host", "CLU-HOST-UNREACHABLE", true],
  "a bastion that closes": ["ssh: handshake failed: EOF", "CLU-HOST-UNREACHABLE", true],
  "the stand-in's": [
    "CMD-UNREACHABLE  ubuntu@192.0.2.7 after 3 failed attempts: connect ECONNREFUSED",
    "CLU-HOST-UNREACHABLE",
    true,
  ],
  "a wrong key": [
    "ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey], no supported methods remain",
    "CLU-HOST-KEY-REFUSED",
    true,
  ],
  "the stand-in's wrong key": [
    "CMD-LOGIN-REFUSED  ubuntu@192.0.2.7 after 3 failed attempts: All configured authentication methods failed",
    "CLU-HOST-KEY-REFUSED",
    true,
  ],
  "another host key": ["ssh: handshake failed: ssh: host key mismatch", "CLU-HOST-KEY-CHANGED", false],
  "a lost connection": [
    "wait: remote command exited without exit status or exit signal",
    "CLU-CONNECTION-LOST",
    true,
  ],
  "the stand-in's lost one": [
    "CMD-LOST  the connection to ubuntu@192.0.2.7 ended before the command did",
    "CLU-CONNECTION-LOST",
    true,
  ],
  "a command that failed": [
    'Process exited with status 127: running "bash -s -- do":\nbash: not found; connection refused',
    "CLU-STEP-FAILED",
    false,
  ],
  "a step that hung": [
    'Process exited with status 124: running "timeout -k 30 1800 bash -s -- do":\nwaiting for the lock',
    "CLU-STEP-DEADLINE",
    false,
  ],
  "a full disk": [
    "CMD-FAILED  the command exited with status 1: running ...:\ntar: write error: No space left on device\nerror: kubespray.source  CLU-KUBESPRAY-SOURCE  could not be unpacked; see",
    "CLU-DISK-FULL",
    false,
  ],
  "something unheard of": ["the sky fell", "CLU-STEP-FAILED", false],
};

describe("a remote command that fails", () => {
  it.each(Object.entries(said))(
    "is explained by a code, with host, step and remedy: %s",
    (_, [error, code, again]) => {
      const failure = explainFailure(error, at);
      expect(failure).toMatchObject({ again, problem: { code } });
      expect(failure.problem?.message).toContain("losa (192.0.2.7), step prepare");
      expect(failure.problem?.remedy).toBeTruthy();
    },
  );

  it("adds nothing to what the script itself has told, and is not tried again", () => {
    const error =
      'Process exited with status 1: running "bash -s -- do":\nerror: hosts.losa  CLU-HOST-RAM  512 MB; connection refused';
    expect(explainFailure(error, at)).toEqual({ again: false, problem: undefined });
  });

  it("is tried again after longer and longer pauses until its time is over; a refused key three times only", () => {
    const [lost = "", , refused = ""] = [said["a time-out"]?.[0], "", said["a wrong key"]?.[0]];
    expect([1, 2, 3, 4, 5, 6].map((n) => pauseBefore(Array(n).fill(lost), at, 0, patience))).toEqual([
      2, 4, 8, 16, 30, 30,
    ]);
    expect(pauseBefore([lost], at, 300, patience)).toBeUndefined();
    expect([1, 2, 3].map((n) => pauseBefore(Array(n).fill(refused), at, 0, patience))).toEqual([
      2,
      4,
      undefined,
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...Object.values(said).map(([e]) => e)), { minLength: 1 }),
        fc.nat(600),
        (errors, waited) => {
          const pause = pauseBefore(errors, at, waited, patience);
          if (pause !== undefined) expect(pause >= 1 && pause <= 30 && waited < 300).toBe(true);
        },
      ),
    );
  });
});
