/**
 * What the command plugin of `@pulumi/command` 1.2.1 does, as a table. Each case says where that is written. It runs against our stand-in, and against the
 * official plugin when DYNAMOS_FABRIC_COMMAND_PLUGIN names its program.
 */

const repository = "https://github.com/pulumi/pulumi-command/blob/v1.2.1/provider";
/** Where a fact is from; facts only. */
export const sources = {
  inputs: `${repository}/pkg/provider/common/inputs.go`,
  command: `${repository}/pkg/provider/remote/commandController.go`,
  run: `${repository}/pkg/provider/remote/commandOutputs.go`,
  connection: `${repository}/pkg/provider/remote/connection.go`,
  schema: `${repository}/cmd/pulumi-resource-command/schema.json`,
  copy: `${repository}/pkg/provider/remote/copyController.go`,
  tests: `${repository}/tests/provider_test.go`,
  /** The framework that the official plugin is written with; go.mod names the version. */
  diff: "https://github.com/pulumi/pulumi-go-provider/blob/v1.3.0/infer/resource.go",
  registry: "https://www.pulumi.com/registry/packages/command/api-docs/remote/command/",
  package:
    "https://www.npmjs.com/package/@pulumi/command/v/1.2.1 (remote/command.js: replaceOnChanges, additionalSecretOutputs)",
} as const;

/**
 * Arguments of a resource. `{ $secret }` is a secret, `{ $text }`, `{ $file }` and `{ $folder }` are assets. HOST, BASTION, HOME (of the host's login), HERE (a folder of
 * the test on this machine) are put in. `connection` is HOST's unless it is given.
 */
export type Args = Readonly<Record<string, unknown>>;
type Type = "remote.Command" | "remote.CopyToRemote";

export interface Case {
  readonly says: string;
  readonly source: string;
  /** Default `remote.Command`. */
  readonly type?: Type;
  readonly first: Args;
  readonly options?: Args;
  /** Default: as first. */
  readonly next?: Args;
  /** What a preview of `next` says. Default `same`. */
  readonly step?: "same" | "update" | "replace";
  readonly outputs?: Args;
  readonly outputsNext?: Args;
  /** Lines of the file `journal-<number>` in HOME once all is destroyed: what was run, in order. */
  readonly journal?: readonly string[];
  /** Files below HOME and their content after the second run. */
  readonly files?: Readonly<Record<string, string>>;
}

/** JOURNAL stands for the case's own file. */
const note = (word: string): string => `echo ${word} >>JOURNAL`;

export const cases: readonly Case[] = [
  {
    says: "runs create once, keeps stdout and stderr without their last end of line, and nothing while its inputs are the same",
    source: `${sources.inputs}; ${sources.run}`,
    first: { create: `${note("create")}; printf 'a\\nb\\n\\n'; printf 'é\\n' >&2` },
    outputs: { stdout: "a\nb\n", stderr: "é" },
    outputsNext: { stdout: "a\nb\n", stderr: "é" },
    journal: ["create"],
  },
  {
    says: "runs create again for changed inputs where there is no update",
    source: sources.inputs,
    first: { create: `${note("one")}; echo one` },
    next: { create: `${note("two")}; echo two` },
    step: "update",
    outputs: { stdout: "one" },
    outputsNext: { stdout: "two" },
    journal: ["one", "two"],
  },
  {
    says: "runs update for changed inputs, with what the run before wrote in its environment",
    source: `${sources.inputs}; ${sources.registry}`,
    first: { create: "echo made; echo noise >&2", update: "echo unused" },
    next: {
      create: "echo made; echo noise >&2",
      update: 'echo "after $PULUMI_COMMAND_STDOUT and $PULUMI_COMMAND_STDERR"',
    },
    step: "update",
    outputs: { stdout: "made" },
    outputsNext: { stdout: "after made and noise", stderr: "" },
  },
  {
    says: "gives nothing of the run before where addPreviousOutputInEnv is false",
    source: sources.tests,
    first: { create: "echo made", addPreviousOutputInEnv: false },
    next: {
      create: "echo made",
      update: 'echo "after [$PULUMI_COMMAND_STDOUT]"',
      addPreviousOutputInEnv: false,
    },
    step: "update",
    outputsNext: { stdout: "after []" },
  },
  {
    says: "replaces for a changed trigger even where there is an update: the new one is made, then the old one deleted",
    source: sources.package,
    first: {
      create: note("create"),
      update: note("update"),
      delete: note("delete"),
      triggers: [1, { a: ["x"] }],
    },
    next: {
      create: note("create"),
      update: note("update"),
      delete: note("delete"),
      triggers: [1, { a: ["y"] }],
    },
    step: "replace",
    journal: ["create", "create", "delete", "delete"],
  },
  {
    says: "takes an asset for a trigger, and looks at its content only",
    source: `${sources.inputs}; ${sources.package}`,
    first: { create: note("create"), triggers: [{ $file: "HERE/first.txt" }] },
    next: { create: note("create"), triggers: [{ $file: "HERE/same.txt" }] },
    journal: ["create"],
  },
  {
    says: "gives stdin to create and to delete",
    source: `${sources.schema}; ${sources.run}`,
    first: { create: "cat", delete: "cat >>JOURNAL", stdin: "line of input\n" },
    outputs: { stdout: "line of input" },
    journal: ["line of input"],
  },
  {
    says: "has no input without stdin: a command that reads ends",
    source: sources.run,
    first: { create: "wc -c | tr -d ' '" },
    outputs: { stdout: "0" },
  },
  {
    says: "sets variables that the server accepts",
    source: sources.registry,
    first: { create: 'echo "$LC_ONE,$LC_TWO"', environment: { LC_ONE: "1 'x'", LC_TWO: "2" } },
    outputs: { stdout: "1 'x',2" },
  },
  {
    says: "runs delete with what the last run wrote",
    source: sources.registry,
    first: { create: "echo id-7", delete: 'echo "delete $PULUMI_COMMAND_STDOUT" >>JOURNAL' },
    journal: ["delete id-7"],
  },
  {
    says: "runs again for a change of delete alone: every input counts",
    source: sources.diff,
    first: { create: note("create") },
    next: { create: note("create"), delete: note("delete") },
    step: "update",
    journal: ["create", "create", "delete"],
  },
  {
    says: "runs again for a change of the connection alone",
    source: sources.diff,
    first: { create: note("create") },
    next: { create: note("create"), connection: { $of: "HOST", dialErrorLimit: 9 } },
    step: "update",
    journal: ["create", "create"],
  },
  {
    says: "runs nothing where there is no create, and keeps empty outputs",
    source: sources.command,
    first: { delete: note("delete") },
    next: { delete: note("delete"), stdin: "x" },
    step: "update",
    outputs: { stdout: "", stderr: "" },
    outputsNext: { stdout: "", stderr: "" },
    journal: ["delete"],
  },
  {
    says: "logs in through a bastion, and holds both to their host keys",
    source: sources.connection,
    first: {
      create: "echo $SSH_CONNECTION | cut -d' ' -f3",
      connection: { $of: "HOST", proxy: { $of: "BASTION" } },
    },
    outputs: { stdout: "HOST" },
  },
  {
    says: "takes a private key with a password",
    source: sources.schema,
    first: {
      create: "echo in",
      connection: { $of: "HOST", privateKey: "LOCKEDKEY", privateKeyPassword: "p w" },
    },
    outputs: { stdout: "in" },
  },
  {
    says: "marks outputs as secret only where it is told to",
    source: `${sources.diff} (ensureDefaultSecrets); ${sources.schema} (logging)`,
    first: { create: "echo open-output" },
    outputs: { stdout: "open-output" },
  },
  {
    says: "keeps an output secret that additionalSecretOutputs names",
    source: sources.schema,
    first: { create: "echo hidden-output", logging: "none" },
    options: { additionalSecretOutputs: ["stdout"] },
    outputs: { stdout: "hidden-output" },
  },
  {
    says: "copies a text to a file, in folders that it makes, again only for another text or path",
    source: sources.copy,
    type: "remote.CopyToRemote",
    first: { source: { $text: "one\n" }, remotePath: "HOME/made/by/copy.txt" },
    next: { source: { $text: "two\n" }, remotePath: "HOME/made/by/copy.txt" },
    step: "update",
    files: { "made/by/copy.txt": "two\n" },
  },
  {
    says: "copies a file into a folder that is there",
    source: sources.copy,
    type: "remote.CopyToRemote",
    first: { source: { $file: "HERE/first.txt" }, remotePath: "HOME/." },
    files: { "first.txt": "first" },
  },
  {
    says: "copies a folder under its name",
    source: sources.copy,
    type: "remote.CopyToRemote",
    first: { source: { $folder: "HERE/tree" }, remotePath: "HOME/trees" },
    files: { "trees/tree/a.txt": "a", "trees/tree/deep/b.txt": "b" },
  },
  {
    says: "copies what is in a folder given with a slash",
    source: sources.copy,
    type: "remote.CopyToRemote",
    first: { source: { $folder: "HERE/tree/" }, remotePath: "HOME/content" },
    files: { "content/a.txt": "a", "content/deep/b.txt": "b" },
  },
];

export interface Failure {
  readonly says: string;
  readonly source: string;
  readonly type?: Type;
  readonly args: Args;
  /** What the engine shows. */
  readonly shows: readonly RegExp[];
  /** Our own on top: codes, limits that the official plugin has not. */
  readonly ours?: readonly RegExp[];
  /** The official plugin does otherwise; why. */
  readonly differs?: string;
}

const once = { dialErrorLimit: 0 };

export const failures: readonly Failure[] = [
  {
    says: "a failing command shows its exit status and all it wrote, in order",
    source: sources.run,
    args: { create: "echo to-out; echo to-err >&2; exit 3", logging: "none" },
    shows: [/exited with status 3[\s\S]*to-out\n\s*to-err/],
    ours: [/CMD-FAILED/],
  },
  {
    says: "a command that a signal ends",
    source: "https://pkg.go.dev/golang.org/x/crypto/ssh#ExitError",
    args: { create: "kill -9 $$" },
    shows: [/KILL/],
    ours: [/CMD-FAILED/],
  },
  {
    says: "a variable that the server does not accept fails before the command runs",
    source: sources.registry,
    args: { create: "echo ran >REFUSED", environment: { FORBIDDEN: "1" } },
    shows: [/AcceptEnv/, /FORBIDDEN/],
    ours: [/CMD-ENVIRONMENT/],
  },
  {
    says: "nobody listens: as many tries as dialErrorLimit allows",
    source: sources.connection,
    args: { create: "true", connection: { $of: "HOST", port: "CLOSED", dialErrorLimit: 2 } },
    shows: [/after \d failed attempts/, /refused/i],
    ours: [/CMD-UNREACHABLE {2}\S+ port \d+ after 3 failed attempts/],
  },
  {
    says: "a server that never says a word is given up after perDialTimeout",
    source: `${sources.schema}; https://github.com/pulumi/pulumi-command/issues/199`,
    args: { create: "true", connection: { $of: "HOST", port: "SILENT", perDialTimeout: 1, ...once } },
    shows: [],
    ours: [/CMD-UNREACHABLE.* after 1 failed attempts: no login within 1 s/],
    differs:
      "perDialTimeout is for the TCP connection only (ssh.Dial in connection.go): such a server is waited for without end",
  },
  {
    says: "a bastion's way to nowhere is bounded too",
    source: sources.connection,
    args: {
      create: "true",
      connection: { $of: "HOST", port: "SILENT", perDialTimeout: 1, ...once, proxy: { $of: "BASTION" } },
    },
    shows: [],
    ours: [/CMD-UNREACHABLE.*no login within 1 s/],
    differs: "dialling from the bastion has no time limit (proxyClient.Dial in connection.go)",
  },
  {
    says: "another host key than the one given is refused",
    source: sources.schema,
    args: { create: "echo ran >REFUSED", connection: { $of: "HOST", hostKey: "OTHERKEY", ...once } },
    shows: [/host key|hostKey/],
    ours: [/CMD-HOST-KEY/],
  },
  {
    says: "a key that the host does not let in",
    source: sources.connection,
    args: { create: "true", connection: { $of: "HOST", privateKey: "OTHERPRIVATE", ...once } },
    shows: [/after \d failed attempts|unable to authenticate/],
    ours: [/CMD-LOGIN-REFUSED/],
  },
  {
    says: "a private key that is none fails at once and is not shown",
    source: sources.connection,
    args: {
      create: "true",
      connection: { $of: "HOST", privateKey: "-----BEGIN QUIET-TEXT-IN-KEY", dialErrorLimit: -1 },
    },
    shows: [/key/],
    ours: [/CMD-KEY/],
  },
  {
    says: "a folder is not copied onto a file",
    source: sources.copy,
    type: "remote.CopyToRemote",
    args: { source: { $folder: "HERE/tree/" }, remotePath: "HOME/file" },
    shows: [/HOME\/file/],
    ours: [/CMD-COPY/],
  },
  {
    says: "a secret of the inputs is in no message",
    source: "house rule: secrets never in logs",
    args: {
      create: { $secret: "echo quiet-word-1 >&2; LC_S=$LC_QUIET; echo $LC_S; exit 5" },
      environment: { LC_QUIET: { $secret: "quiet-word-2" } },
    },
    shows: [],
    ours: [/CMD-FAILED.*status 5/, /\[secret\]/],
    differs: "the command and its output are shown as they are (commandOutputs.go)",
  },
];
