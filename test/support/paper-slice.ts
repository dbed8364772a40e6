import { parseSliceSpec, type SliceSpec } from "../../infra/fabric/spec.js";

/** The paper's set-up: six nodes at three sites. */
export const paperSlice: SliceSpec = parseSliceSpec({
  name: "dynamos-fabric-dev",
  lease: "14d",
  nodes: {
    control: { site: "AMST", cores: 2, ram: 8 },
    core: { site: "AMST" },
    server: { site: "AMST" },
    clientone: { site: "AMST" },
    clienttwo: { site: "LOSA" },
    clientthree: { site: "TOKY" },
  },
});
