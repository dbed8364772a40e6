import { cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { stringify } from "yaml";
import { InfraError } from "../infra/problem.js";
import { DOCUMENT_FOLDERS, readExperiment } from "./experiment.js";
import { fromHere } from "./stack-folder.js";

/** What an experiment consists of; nothing else of a folder is copied. */
const PARTS = [...Object.values(DOCUMENT_FOLDERS), "data", "experiment.yaml"];
/** Of all nodes: on this machine it says nothing, and on FABRIC one site is the simplest beginning. */
const SITE = "AMST";
/** A stack's and a folder's name. */
const NAME = /^[a-z][a-z0-9-]{0,38}[a-z0-9]$/;

export interface NewExperiment {
  readonly name: string;
  /** Folder in which the experiment's own folder and the stack's configuration come to lie. */
  readonly project: string;
  /** Whether there is a Pulumi.yaml. */
  readonly hasProgram: boolean;
  /** A folder, or the name of one of the package's examples. */
  readonly like: string;
  /** The package's examples. */
  readonly examples: string;
}

/** What was made, for people: paths relative to the project. */
export interface Made {
  readonly files: readonly string[];
  readonly parties: readonly string[];
}

/**
 * Copies an experiment folder and makes a stack for it: `NAME/`, `Pulumi.NAME.yaml`, and Pulumi.yaml with a program where there is none. Nothing that is
 * there is touched.
 *
 * @throws InfraError EXP-NEW-NAME, EXP-NEW-EXISTS, EXP-NEW-SOURCE; what is wrong with the folder that is copied
 */
export function makeExperiment({ name, project, hasProgram, like, examples }: NewExperiment): Made {
  if (!NAME.test(name))
    throw new InfraError({
      code: "EXP-NEW-NAME",
      path: "name",
      message: `${JSON.stringify(name)} cannot be the name of a stack and a folder`,
      remedy: "use lower case letters, digits and -, a letter first, 2 to 40",
    });
  const source = sourceOf(like, examples);
  const { experiment, problems } = readExperiment(source, like);
  if (problems.length > 0) throw new InfraError(problems);
  const folder = join(project, name);
  const stackFile = `Pulumi.${name}.yaml`;
  // A program is only made beside a new Pulumi.yaml, whose main it is.
  const program = hasProgram ? {} : programFiles(name);
  const taken = [name, stackFile, ...Object.keys(program)].filter((file) => existsSync(join(project, file)));
  if (taken.length > 0)
    throw new InfraError(
      taken.map((file) => ({
        code: "EXP-NEW-EXISTS",
        path: file,
        message: "is there already; nothing was changed",
        remedy: "give another name, or remove it",
      })),
    );
  if (!relative(source, folder).startsWith(".."))
    throw new InfraError({
      code: "EXP-NEW-SOURCE",
      path: "--like",
      message: `${folder} would lie inside what it copies`,
      remedy: "make it elsewhere",
    });

  const parties = experiment.documents.filter((d) => d.kind === "agreement").map((d) => d.name);
  mkdirSync(folder, { recursive: true });
  for (const part of PARTS)
    if (existsSync(join(source, part))) cpSync(join(source, part), join(folder, part), { recursive: true });
  const texts = { ...program, [stackFile]: stackText(name, parties) };
  for (const [file, text] of Object.entries(texts)) writeFileSync(join(project, file), text, { flag: "wx" });
  return { files: [`${name}/`, ...Object.keys(texts).sort()], parties };
}

function sourceOf(like: string, examples: string): string {
  const example = join(examples, like);
  if (basename(like) === like && isFolder(example)) return example;
  const folder = fromHere(like);
  if (isFolder(folder)) return folder;
  const names = readdirSync(examples).filter((one) =>
    isFolder(join(examples, one, DOCUMENT_FOLDERS.agreement)),
  );
  throw new InfraError({
    code: "EXP-NEW-SOURCE",
    path: "--like",
    message: `there is no folder ${like}, and no example of that name`,
    remedy: `give an experiment's folder, or one of ${names.join(", ")}`,
  });
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Node names are lower case; where a party's is not, the node says whose it is. */
function stackText(name: string, parties: readonly string[]): string {
  const nodes = {
    control: { role: "control", site: SITE, cores: 2, ram: 8 },
    core: { role: "core", site: SITE },
    ...Object.fromEntries(
      parties.map((party) => [
        party.toLowerCase(),
        party === party.toLowerCase() ? { role: "agent", site: SITE } : { role: "agent", site: SITE, party },
      ]),
    ),
  };
  const config = { "dynamos-fabric:marketplace": { target: "local", experiment: name, nodes } };
  return `# On this machine, no account needed. On FABRIC: \`target: fabric\`, and sites that have room.\n${stringify({ config })}`;
}

function programFiles(name: string): Record<string, string> {
  const pulumi = {
    name,
    description: "A data marketplace with enforced policies.",
    runtime: { name: "nodejs", options: { typescript: false } },
    main: "marketplace.cjs",
  };
  return {
    "Pulumi.yaml": stringify(pulumi),
    "marketplace.cjs": 'module.exports = require("dynamos-fabric/provider/dynamos/program");\n',
  };
}
