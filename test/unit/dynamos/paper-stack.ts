/** The paper's set-up as a person writes it: what most tests of this room begin with. */
export const paperStack = (): {
  target: string;
  experiment: string;
  nodes: Record<string, Record<string, unknown>>;
  [key: string]: unknown;
} => ({
  target: "local",
  experiment: "examples/titanic",
  nodes: {
    control: { role: "control", site: "AMST", cores: 2, ram: 8 },
    core: { role: "core", site: "AMST" },
    server: { role: "agent", site: "AMST" },
    clientone: { role: "agent", site: "AMST" },
    clienttwo: { role: "agent", site: "LOSA" },
    clientthree: { role: "agent", site: "TOKY" },
  },
});
