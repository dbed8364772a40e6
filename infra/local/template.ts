import { InfraError, type Problem } from "../problem.js";
import type { ServiceSpec } from "./service.js";

/** What a placeholder stands for, e.g. `{{port:broker/amqp}}` is `{kind: "port", service: "broker", name: "amqp"}`. */
export type Placeholder =
  | { readonly kind: "port"; readonly service?: string; readonly name: string }
  | { readonly kind: "folder" | "package" | "project" | "node" | "listen" }
  | { readonly kind: "host"; readonly service: string }
  | { readonly kind: "tool" | "secretFile" | "secret" | "rabbitmqHash"; readonly name: string };

/** The values that the supervisor knows when it starts a service. Each may throw InfraError. */
export interface TemplateValues {
  readonly folder: string;
  readonly package: string;
  readonly project: string;
  readonly node: string;
  /** The address that a service listens on. */
  readonly listen: string;
  /** The address that another service is reached at. */
  host(service: string): string;
  port(service: string | undefined, name: string): number;
  tool(name: string): string;
  secretFile(name: string): string;
  secret(name: string): string;
  rabbitmqHash(name: string): string;
}

/** A text of a specification, with its place, and whether secrets may stand in it. */
export interface TemplateText {
  readonly place: string;
  readonly text: string;
  readonly secrets: boolean;
}

const known =
  "port:NAME, port:SERVICE/NAME, host:SERVICE, listen, folder, package, project, node, tool:NAME, secretFile:NAME, and in files secret:NAME, rabbitmqHash:NAME";
const identifier = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
const program = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$/;

/** A text cut at its placeholders: texts as they are, and placeholders (undefined where the braces hold none we know). */
export function parseTemplate(
  text: string,
): (string | { readonly source: string; readonly placeholder: Placeholder | undefined })[] {
  // split() with one capturing group yields text and capture by turns.
  return text
    .split(/\{\{([^{}]*)\}\}/)
    .map((part, i) => (i % 2 === 0 ? part : { source: part, placeholder: parsePlaceholder(part) }))
    .filter((part) => part !== "");
}

function parsePlaceholder(source: string): Placeholder | undefined {
  const colon = source.indexOf(":");
  const kind = colon < 0 ? source : source.slice(0, colon);
  const name = colon < 0 ? undefined : source.slice(colon + 1);
  if (kind === "folder" || kind === "package" || kind === "project" || kind === "node" || kind === "listen")
    return name === undefined ? { kind } : undefined;
  if (name === undefined) return undefined;
  if (kind === "host") return identifier.test(name) ? { kind, service: name } : undefined;
  if (kind === "tool") return program.test(name) ? { kind, name } : undefined;
  if (kind === "secretFile" || kind === "secret" || kind === "rabbitmqHash")
    return identifier.test(name) ? { kind, name } : undefined;
  if (kind !== "port") return undefined;
  const [first = "", second, ...more] = name.split("/");
  if (more.length > 0 || !identifier.test(first)) return undefined;
  if (second === undefined) return { kind, name: first };
  return identifier.test(second) ? { kind, service: first, name: second } : undefined;
}

/** All texts of a specification that may hold placeholders, with their places. */
export function templateTexts(spec: Pick<ServiceSpec, "command" | "env" | "files">): TemplateText[] {
  return [
    ...spec.command.map((text, i) => ({ place: `command[${i}]`, text, secrets: false })),
    ...Object.entries(spec.env ?? {}).map(([name, text]) => ({ place: `env.${name}`, text, secrets: false })),
    ...(spec.files ?? []).map((file, i) => ({
      place: `files[${i}].content`,
      text: file.content,
      secrets: true,
    })),
  ];
}

/**
 * What is wrong with a specification's placeholders: unknown ones, ports that nobody has, services that are not in `needs`, and secrets
 * outside `files`, where every user of the machine could read them in the process list. Code: LOC-TEMPLATE.
 */
export function templateProblems(
  spec: Pick<ServiceSpec, "command" | "env" | "files" | "needs" | "ports">,
): Problem[] {
  const problems: Problem[] = [];
  for (const { place, text, secrets } of templateTexts(spec)) {
    for (const part of parseTemplate(text)) {
      if (typeof part === "string") continue;
      const found = placeholderProblem(part.placeholder, secrets, spec);
      if (found !== undefined) {
        problems.push({
          code: "LOC-TEMPLATE",
          path: place,
          message: `{{${part.source}}}: ${found[0]}`,
          remedy: found[1],
        });
      }
    }
  }
  return problems;
}

function placeholderProblem(
  placeholder: Placeholder | undefined,
  secrets: boolean,
  spec: Pick<ServiceSpec, "needs" | "ports">,
): readonly [message: string, remedy: string] | undefined {
  if (placeholder === undefined) return ["unknown placeholder", `use one of ${known}`];
  if ((placeholder.kind === "secret" || placeholder.kind === "rabbitmqHash") && !secrets) {
    return [
      "a secret is not allowed here",
      "use it inside `files`, or pass its path with {{secretFile:NAME}}",
    ];
  }
  if (placeholder.kind !== "port" && placeholder.kind !== "host") return undefined;
  if (placeholder.kind === "port" && placeholder.service === undefined) {
    if (Object.hasOwn(spec.ports ?? {}, placeholder.name)) return undefined;
    return [`no port named "${placeholder.name}"`, "add it to `ports`"];
  }
  if (placeholder.service !== undefined && spec.needs?.includes(placeholder.service)) return undefined;
  return [`${placeholder.service} is not in \`needs\``, "add it to `needs`"];
}

/** The text with its placeholders filled in. Throws LOC-TEMPLATE with the place for one that is unknown. */
export function renderTemplate(template: Omit<TemplateText, "secrets">, values: TemplateValues): string {
  return parseTemplate(template.text)
    .map((part) => {
      if (typeof part === "string") return part;
      if (part.placeholder !== undefined) return textFor(part.placeholder, values);
      throw new InfraError({
        code: "LOC-TEMPLATE",
        path: template.place,
        message: `{{${part.source}}}: unknown placeholder`,
        remedy: `use one of ${known}`,
      });
    })
    .join("");
}

function textFor(placeholder: Placeholder, values: TemplateValues): string {
  switch (placeholder.kind) {
    case "port":
      return String(values.port(placeholder.service, placeholder.name));
    case "folder":
    case "package":
    case "project":
    case "node":
    case "listen":
      return values[placeholder.kind];
    case "host":
      return values.host(placeholder.service);
    default:
      return values[placeholder.kind](placeholder.name);
  }
}

/** The ports of other services that a specification is given, as `service/port`, sorted. */
export function portsGiven(spec: Pick<ServiceSpec, "command" | "env" | "files">): string[] {
  const names = new Set<string>();
  for (const { text } of templateTexts(spec)) {
    for (const part of parseTemplate(text)) {
      if (
        typeof part === "string" ||
        part.placeholder?.kind !== "port" ||
        part.placeholder.service === undefined
      )
        continue;
      names.add(`${part.placeholder.service}/${part.placeholder.name}`);
    }
  }
  return [...names].sort();
}
