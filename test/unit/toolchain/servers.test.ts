import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { launcher } from "../../../infra/toolchain/container.js";
import { packagesToUnpack, quotePaths } from "../../../infra/toolchain/debian.js";

const simulation = `Reading package lists...
Inst libc6 (2.36-9 Debian:12 [amd64])
Inst libsctp1 (1.0.19+dfsg-2 Debian:12 [amd64])
Inst erlang-base (1:25.2.3+dfsg-1 Debian:12 [amd64])
Inst erlang-ssl (1:25.2.3+dfsg-1 Debian:12 [amd64])
Inst adduser (3.134 Debian:12 [all])
Inst logrotate (3.21.0-1 Debian:12 [amd64])
Inst rabbitmq-server (3.10.8-1.1 Debian:12 [all])
Inst etcd-server (3.4.23-4 Debian:12 [amd64])
Inst etcd-client (3.4.23-4 Debian:12 [amd64])
Conf libc6 (2.36-9 Debian:12 [amd64])
`;

describe("packagesToUnpack", () => {
  it("takes what is asked for, Erlang, and libraries that the system lacks", () => {
    expect(packagesToUnpack(simulation, new Set(["libc6", "erlang-base"]))).toEqual([
      "erlang-base",
      "erlang-ssl",
      "etcd-client",
      "etcd-server",
      "libsctp1",
      "rabbitmq-server",
    ]);
  });
  it("takes nothing from an empty answer", () => expect(packagesToUnpack("", new Set())).toEqual([]));
});

describe("quotePaths", () => {
  it("quotes the script's own place, and is done when it is done", () => {
    const defaults = (quote: string): string =>
      `. ${quote}\${RABBITMQ_SCRIPTS_DIR}/rabbitmq-defaults${quote}\n`;
    const script = `x=\`dirname $SCRIPT_PATH\`\ny=\`readlink -f $SCRIPT_PATH 2>/dev/null\`\n${defaults("")}`;
    const quoted = quotePaths(script);
    expect(quoted).toBe(
      `x=\`dirname "$SCRIPT_PATH"\`\ny=\`readlink -f "$SCRIPT_PATH" 2>/dev/null\`\n${defaults('"')}`,
    );
    expect(quotePaths(quoted)).toBe(quoted);
  });
});

describe("a container launcher", () => {
  it("passes arguments and variables with spaces through a runtime", () => {
    // A runtime that only writes what it is asked to do.
    const script = launcher("recorder", "etcd", "image:1").replaceAll("recorder", "printf '[%s]'");
    const run = spawnSync("sh", ["-c", script, "etcd", "--data-dir", "a b"], {
      encoding: "utf8",
      env: { PATH: process.env.PATH, ETCD_NAME: "x" },
    });
    expect(run.stderr).toBe("");
    expect(run.stdout).toContain("[-e][ETCD_NAME][--entrypoint][etcd][image:1][--data-dir][a b]");
    expect(run.stdout).toContain("[--network][host]");
  });
});
