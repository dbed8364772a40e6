import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ServiceSpec } from "../../../infra/local/service.js";
import {
  parseTemplate,
  portsGiven,
  renderTemplate,
  type TemplateValues,
  templateProblems,
} from "../../../infra/local/template.js";

const values: TemplateValues = {
  folder: "/state/nodes/core/broker",
  package: "/package",
  project: "/a project",
  node: "/bin/node",
  listen: "127.0.0.1",
  host: (service) => `host of ${service}`,
  port: (service, name) => (service === undefined ? 1 : 2) * 1000 + name.length,
  tool: (name) => `/tools/${name}`,
  secretFile: (name) => `/state/secrets/${name}`,
  secret: (name) => `secret of ${name}`,
  rabbitmqHash: (name) => `hash of ${name}`,
};

const render = (text: string) => renderTemplate({ place: "env.X", text }, values);
const withoutBraces = fc.string().filter((text) => !/[{}]/.test(text));
const placeholder = fc.constantFrom(
  "port:http",
  "port:broker/amqp",
  "host:broker",
  "listen",
  "folder",
  "package",
  "project",
  "node",
  "tool:etcd",
  "secretFile:a",
  "secret:a",
  "rabbitmqHash:a",
);

describe("renderTemplate", () => {
  it("fills in every placeholder of ServiceSpec", () => {
    expect(render("{{port:http}} {{port:broker/amqp}}")).toBe("1004 2004");
    expect(render("{{folder}}|{{package}}|{{project}}|{{node}}")).toBe(
      "/state/nodes/core/broker|/package|/a project|/bin/node",
    );
    expect(render("{{listen}}, {{host:broker}}")).toBe("127.0.0.1, host of broker");
    expect(render("{{tool:rabbitmq-server}}")).toBe("/tools/rabbitmq-server");
    expect(render("{{secretFile:x}},{{secret:x}},{{rabbitmqHash:x}}")).toBe(
      "/state/secrets/x,secret of x,hash of x",
    );
  });

  it("leaves what is no placeholder: JSON, Erlang terms, single braces", () => {
    for (const text of ['{"a":{"b":{}}}', "[{rabbit,[{tcp,[{{1,2},5}]}]}].", "{{", "}}", "{folder}", ""])
      expect(render(text)).toBe(text);
  });

  it.each([
    "{{prot:http}}",
    "{{port}}",
    "{{port:}}",
    "{{port:a/b/c}}",
    "{{ folder }}",
    "{{folder:x}}",
    "{{}}",
    "{{secret:../x}}",
    "{{tool:a/b}}",
  ])("%s is an error that names the place", (text) => {
    expect(() => render(`a ${text} b`)).toThrow(
      expect.objectContaining({
        code: "LOC-TEMPLATE",
        problems: [expect.objectContaining({ path: "env.X" })],
      }),
    );
  });

  it("keeps all text around placeholders, whatever it is", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(withoutBraces, placeholder)), withoutBraces, (parts, end) => {
        const text = parts.map(([before, name]) => `${before}{{${name}}}`).join("") + end;
        expect(render(text)).toBe(
          parts.map(([before, name]) => before + render(`{{${name}}}`)).join("") + end,
        );
      }),
    );
  });

  it("is undone by its sources: cutting loses nothing", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("{", "}", "a", ":", "/", "port:x", "{{folder}}") }),
        (text) => {
          const joined = parseTemplate(text).map((part) =>
            typeof part === "string" ? part : `{{${part.source}}}`,
          );
          expect(joined.join("")).toBe(text);
        },
      ),
    );
  });

  it("does not fill in twice: a value that looks like a placeholder stays", () => {
    const odd = { ...values, secret: () => "{{folder}}" };
    expect(renderTemplate({ place: "x", text: "{{secret:a}}" }, odd)).toBe("{{folder}}");
  });
});

describe("templateProblems", () => {
  const spec: Pick<ServiceSpec, "command" | "env" | "files" | "needs" | "ports"> = {
    command: ["{{node}}"],
    ports: { http: 0 },
    needs: ["broker"],
  };

  it("accepts secrets in files only", () => {
    expect(
      templateProblems({ ...spec, files: [{ path: "a", content: "{{secret:a}}{{rabbitmqHash:a}}" }] }),
    ).toEqual([]);
    expect(templateProblems({ ...spec, env: { A: "{{secretFile:a}}" } })).toEqual([]);
    for (const text of ["{{secret:a}}", "{{rabbitmqHash:a}}"]) {
      expect(templateProblems({ ...spec, env: { A: text } })).toMatchObject([
        { code: "LOC-TEMPLATE", path: "env.A" },
      ]);
      expect(templateProblems({ ...spec, command: ["x", text] })).toMatchObject([
        { code: "LOC-TEMPLATE", path: "command[1]" },
      ]);
    }
  });

  it("tells of ports that nobody has and of services that are not needed, all at once", () => {
    const problems = templateProblems({
      ...spec,
      env: { A: "{{port:htpp}}{{port:store/client}}", B: "{{port:broker/amqp}}" },
      files: [{ path: "a", content: "{{x}}" }],
    });
    expect(problems.map((p) => `${p.path}: ${p.message}`)).toEqual([
      'env.A: {{port:htpp}}: no port named "htpp"',
      "env.A: {{port:store/client}}: store is not in `needs`",
      "files[0].content: {{x}}: unknown placeholder",
    ]);
  });
});

describe("portsGiven", () => {
  it("names each port of another service once", () => {
    const env = { A: "{{port:store/client}}{{port:http}}", B: "{{port:broker/amqp}}{{port:store/client}}" };
    expect(portsGiven({ command: ["{{node}}"], env })).toEqual(["broker/amqp", "store/client"]);
  });
});
