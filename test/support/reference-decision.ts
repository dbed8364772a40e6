/**
 * A decision as docs/policy.md says it, read word by word: for each rule a sentence, tried one after the other, nothing prepared and nothing shared
 * with policy/decision. Slow on purpose. `test/unit/decision/reference.test.ts` compares the two.
 */
import type { Agreement, Archetype, Dataset, RequestType } from "../../policy/contract/documents.js";

export interface World {
  readonly agreements: readonly { readonly document: Agreement; readonly revision: number }[];
  readonly archetypes: readonly Archetype[];
  readonly requestTypes: readonly RequestType[];
  readonly dataSets: readonly Dataset[];
}

export interface Asked {
  readonly requestType: string;
  readonly user: string;
  readonly dataProviders: readonly string[];
  readonly dataSets?: readonly string[];
  readonly columns?: Readonly<Record<string, readonly string[]>>;
  readonly archetype?: string;
  readonly computeProvider?: string;
  readonly requireAll?: boolean;
}

export interface Answer {
  readonly allow: boolean;
  /** Data providers that take part, or would by themselves. */
  readonly providers: readonly string[];
  /** `archetype computeProvider`, most preferred archetype first, compute providers by name. */
  readonly ways: readonly string[];
  /** `code party path`, sorted. */
  readonly reasons: readonly string[];
  /** `party revision`, sorted. */
  readonly agreements: readonly string[];
}

/** @param now - milliseconds since 1970 */
export function referenceDecision(asked: Asked, world: World, now: number): Answer {
  const names = asked.dataProviders.filter((name, i, all) => all.indexOf(name) === i);
  const type = world.requestTypes.find((t) => t.name === asked.requestType);

  // A request that is none is denied for that alone.
  const malformed: string[] = [];
  if (type === undefined) malformed.push("POL-REQUEST-TYPE-UNKNOWN  type");
  if (asked.user === "") malformed.push("POL-NO-USER  user.userName");
  if (names.length === 0) malformed.push("POL-NO-PROVIDER  dataProviders");
  if (asked.archetype !== undefined && !world.archetypes.some((a) => a.name === asked.archetype))
    malformed.push("POL-ARCHETYPE-UNKNOWN  archetype");
  if (type === undefined || malformed.length > 0)
    return { allow: false, providers: [], ways: [], reasons: malformed.sort(), agreements: [] };

  const user = asked.user;
  const of = (party: string) => world.agreements.find((a) => a.document.name === party);
  const ruleOf = (party: string) => {
    const relations = of(party)?.document.relations ?? {};
    return Object.entries(relations).find(([name]) => name === user)?.[1];
  };
  const relation = /^[a-zA-Z]\w*$/.test(user) ? `relations.${user}` : `relations[${JSON.stringify(user)}]`;
  const at = (field: string) => `${relation}.${field}`;

  /** Paths of the times that are not kept. */
  const notNow = (party: string): string[] => {
    const found: string[] = [];
    const rule = ruleOf(party);
    const whole = of(party)?.document;
    if (rule?.notBefore !== undefined && now < Date.parse(rule.notBefore)) found.push(at("notBefore"));
    if (rule?.notAfter !== undefined && now > Date.parse(rule.notAfter)) found.push(at("notAfter"));
    if (whole?.notBefore !== undefined && now < Date.parse(whole.notBefore)) found.push("notBefore");
    if (whole?.notAfter !== undefined && now > Date.parse(whole.notAfter)) found.push("notAfter");
    return found;
  };
  const namesType = (party: string) => ruleOf(party)?.requestTypes.includes(asked.requestType) === true;
  /** Whether the party lets microservices live as long as the request type needs them. */
  const lives = (party: string) => type.persistence !== "job" || ruleOf(party)?.persistence === "job";
  /** Whether a party may compute for others: its own agreement names the user and the request type, lets its microservices live, and holds now. */
  const agreed = (party: string) => namesType(party) && lives(party) && notNow(party).length === 0;
  /** Whether a rule and the agreement around it both name something. */
  const mayUse = (party: string, archetype: string) =>
    ruleOf(party)?.allowedArchetypes.includes(archetype) === true &&
    of(party)?.document.archetypes.includes(archetype) === true;
  const lets = (party: string, computer: string) =>
    ruleOf(party)?.allowedComputeProviders.includes(computer) === true &&
    of(party)?.document.computeProviders.includes(computer) === true;

  const archetypes = [...world.archetypes]
    .sort((a, b) => (a.weight === b.weight ? (a.name < b.name ? -1 : 1) : a.weight - b.weight))
    .filter((a) => asked.archetype === undefined || a.name === asked.archetype);

  // What is read: every data set that the type or the request names, of each all columns or some.
  const typeNames = (set: string) =>
    (type.dataSets ?? []).includes(set) || Object.keys(type.columns ?? {}).includes(set);
  const everyName = [
    ...(type.dataSets ?? []),
    ...Object.keys(type.columns ?? {}),
    ...(asked.dataSets ?? []),
    ...Object.keys(asked.columns ?? {}),
  ];
  const sets = everyName.filter((name, i) => everyName.indexOf(name) === i);
  const columnsOf = (set: string): readonly string[] | "all" => {
    const byType = type.columns?.[set];
    const byRequest = asked.columns?.[set];
    if (typeNames(set)) {
      if (byType === undefined) return "all";
      const both = [...byType, ...(byRequest ?? [])];
      return both.filter((name, i) => both.indexOf(name) === i);
    }
    return byRequest ?? "all";
  };

  /** Columns that type or request name, whether or not the rest of the data set is read too. */
  const namedOf = (set: string): readonly string[] => {
    const named = [
      ...((typeNames(set) ? type.columns?.[set] : undefined) ?? []),
      ...(asked.columns?.[set] ?? []),
    ];
    return named.filter((name, i) => named.indexOf(name) === i);
  };
  const isSensitive = (set: string, column: string): boolean => {
    const document = world.dataSets.find((d) => d.name === set);
    return Object.entries(document?.sensitive_columns ?? {}).some(([table, columns]) =>
      columns.some((name) => column === (document?.tables.length === 1 ? name : `${table}.${name}`)),
    );
  };

  /** Everything that speaks against one data provider by itself. */
  const against = (party: string): string[] => {
    if (of(party) === undefined) return [`POL-PROVIDER-UNKNOWN ${party} dataProviders`];
    const rule = ruleOf(party);
    if (rule === undefined) return [`POL-NO-AGREEMENT ${party} ${relation}`];
    const found: string[] = [];
    for (const path of notNow(party))
      found.push(`${path.endsWith("notBefore") ? "POL-NOT-YET" : "POL-EXPIRED"} ${party} ${path}`);
    if (!namesType(party)) found.push(`POL-REQUEST-TYPE ${party} ${at("requestTypes")}`);
    if (!lives(party)) found.push(`POL-PERSISTENCE ${party} ${at("persistence")}`);
    for (const set of sets) {
      const may = rule.dataSets === undefined ? typeNames(set) : rule.dataSets.includes(set);
      if (!may) {
        found.push(`POL-DATA-SET ${party} ${at("dataSets")}`);
        continue;
      }
      const limit = rule.columns?.[set];
      if (limit === undefined) {
        // A sensitive column is given by its name only.
        for (const column of namedOf(set))
          if (isSensitive(set, column)) found.push(`POL-SENSITIVE ${party} ${at(`columns.${set}`)}`);
        continue;
      }
      const columns = columnsOf(set);
      if (columns === "all") found.push(`POL-COLUMN ${party} ${at(`columns.${set}`)}`);
      else
        for (const column of columns)
          if (!limit.includes(column)) found.push(`POL-COLUMN ${party} ${at(`columns.${set}`)}`);
    }
    if (!archetypes.some((a) => mayUse(party, a.name)))
      found.push(`POL-ARCHETYPE ${party} ${at("allowedArchetypes")}`);
    return found;
  };

  const everybody = world.agreements.map((a) => a.document.name);
  const wanted = asked.computeProvider;
  /** Who may compute for these data providers in an archetype. `here`: who counts as one of the data providers. */
  const computers = (archetype: Archetype, parties: readonly string[], here: readonly string[]): string[] => {
    if (!parties.every((p) => mayUse(p, archetype.name))) return [];
    if (archetype.computeProvider === "dataProvider")
      return wanted === undefined || here.includes(wanted) ? [...here].sort() : [];
    return everybody
      .filter((c) => wanted === undefined || c === wanted)
      .filter((c) => parties.every((p) => lets(p, c)) && agreed(c))
      .sort();
  };
  /** Why nobody computes for these data providers, in the archetypes that all of them allow. */
  const nobody = (parties: readonly string[]): string[] => {
    const common = archetypes.filter((a) => parties.every((p) => mayUse(p, a.name)));
    if (common.length === 0)
      return parties.map((p) => `POL-NO-COMMON-ARCHETYPE ${p} ${at("allowedArchetypes")}`);
    const found = common.flatMap((archetype) => {
      if (archetype.computeProvider === "dataProvider")
        return parties.map((p) => `POL-COMPUTE-PROVIDER ${p} ${at("allowedComputeProviders")}`);
      if (wanted !== undefined) {
        const refusing = parties.filter((p) => !lets(p, wanted));
        if (refusing.length > 0)
          return refusing.map((p) => `POL-COMPUTE-PROVIDER ${p} ${at("allowedComputeProviders")}`);
        return whyNotAgreed(wanted);
      }
      const named = [...new Set(parties.flatMap((p) => ruleOf(p)?.allowedComputeProviders ?? []))];
      const common = named.filter((c) => parties.every((p) => lets(p, c)));
      if (common.length > 0) return common.flatMap(whyNotAgreed);
      return parties.map((p) => `POL-NO-COMMON-COMPUTE-PROVIDER ${p} ${at("allowedComputeProviders")}`);
    });
    return found.filter((reason, i) => found.indexOf(reason) === i);
  };
  const whyNotAgreed = (computer: string): string[] => {
    const code = "POL-COMPUTE-PROVIDER-NO-AGREEMENT";
    if (ruleOf(computer) === undefined) return [`${code} ${computer} ${relation}`];
    if (!namesType(computer)) return [`${code} ${computer} ${at("requestTypes")}`];
    const paths = [...(lives(computer) ? [] : [at("persistence")]), ...notNow(computer)];
    return paths.map((path) => `${code} ${computer} ${path}`);
  };

  const all = type.requireAll === true || (asked.requireAll ?? type.requireAll ?? true);
  const reasons = new Map(names.map((party) => [party, against(party)]));
  if (!all) {
    // Left out: who would be denied if asked alone.
    for (const party of names) {
      if (reasons.get(party)?.length !== 0) continue;
      const alone = archetypes.some((a) => computers(a, [party], names).length > 0);
      if (!alone) reasons.set(party, nobody([party]));
    }
  }
  const taking = names.filter((party) => reasons.get(party)?.length === 0);
  const no = names.flatMap((party) => reasons.get(party) ?? []);
  const used = (parties: readonly string[]) =>
    [...new Set(parties)]
      .flatMap((p) => of(p) ?? [])
      .map((a) => `${a.document.name} ${a.revision}`)
      .sort();
  const denied = (more: readonly string[]): Answer => ({
    allow: false,
    providers: taking,
    ways: [],
    reasons: [...no, ...more].sort(),
    agreements: used(names),
  });
  if (taking.length === 0 || (all && no.length > 0)) return denied([]);
  const ways = archetypes.flatMap((a) => computers(a, taking, taking).map((c) => `${a.name} ${c}`));
  if (ways.length === 0) return denied(nobody(taking));

  const computing = ways.map((way) => way.split(" ")[1] ?? "");
  const allowing = [...new Set([...taking, ...computing])].map(
    (p) => `POL-ALLOWED ${p} ${at(`requestTypes[${ruleOf(p)?.requestTypes.indexOf(asked.requestType)}]`)}`,
  );
  return {
    allow: true,
    providers: taking,
    ways,
    reasons: [...allowing, ...no].sort(),
    agreements: used([...names, ...computing]),
  };
}
