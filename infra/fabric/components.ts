/** A device that a node can have. */
export interface ComponentModel {
  readonly type: string;
  readonly model: string;
  /** What FIM's catalogue says of it. */
  readonly details: string;
  /** Its network ports; absent for a device without. */
  readonly ports?: {
    readonly count: number;
    /** Gbps of each; absent for a shared port, which has what is left. */
    readonly bandwidth?: number;
  };
}

/** FABlib's model names to FIM's type and model: devices without ports. Source: FABlib 2.0.6, fabric-fim 2.0.0. */
export const componentModels: Readonly<Record<string, ComponentModel>> = {
  GPU_TeslaT4: { type: "GPU", model: "Tesla T4", details: "NVIDIA Corporation TU104GL [Tesla T4] (rev a1)" },
  GPU_RTX6000: {
    type: "GPU",
    model: "RTX6000",
    details: "NVIDIA Corporation TU102GL [Quadro RTX 6000/8000] (rev a1)",
  },
  GPU_A30: { type: "GPU", model: "A30", details: "NVIDIA Corporation GA100GL [A30 PCIe] (rev a1)" },
  GPU_A40: { type: "GPU", model: "A40", details: "NVIDIA Corporation GA102GL [A40] (rev a1)" },
  NVME_P4510: { type: "NVME", model: "P4510", details: "Dell Express Flash NVMe P4510 1TB SFF" },
};

/** FABlib's NIC_Basic: one port of a shared ConnectX-6. Every node has one, so it is not in a spec's `components`. */
export const basicNic: ComponentModel = {
  type: "SharedNIC",
  model: "ConnectX-6",
  details: "Mellanox ConnectX-6 VPI MCX653 dual port 100Gbps",
  ports: { count: 1 },
};

/** FABlib's model names of cards with ports: what a network joins. The NIC_Basic's port is shared, all others are the node's alone. Same sources. */
export const cardModels: Readonly<Record<string, ComponentModel>> = {
  NIC_Basic: basicNic,
  NIC_ConnectX_5: dedicated("SmartNIC", "ConnectX-5", 25, "Mellanox ConnectX-5 Dual Port 10/25GbE"),
  NIC_ConnectX_6: dedicated(
    "SmartNIC",
    "ConnectX-6",
    100,
    "Mellanox ConnectX-6 VPI MCX653 dual port 100Gbps",
  ),
  NIC_ConnectX_7_100: dedicated(
    "SmartNIC",
    "ConnectX-7-100",
    100,
    "Mellanox ConnectX-7 MT4277 BlueField-3 dual port 100Gbps",
  ),
  NIC_ConnectX_7_400: dedicated(
    "SmartNIC",
    "ConnectX-7-400",
    400,
    "Mellanox ConnectX-7 MT43244 BlueField-3 dual port 400Gbps",
  ),
  NIC_BlueField_2_ConnectX_6: dedicated(
    "SmartNIC",
    "BlueField-2-ConnectX-6",
    100,
    "Mellanox ConnectX-6 MT42822 BlueField-2 dual port 100Gbps",
  ),
  FPGA_Xilinx_U280: dedicated("FPGA", "Xilinx-U280", 100, "Xilinx U280 FPGA Dual 100G port accelerator card"),
  FPGA_Xilinx_SN1022: dedicated(
    "FPGA",
    "Xilinx-SN1022",
    100,
    "Xilinx SN1022 FPGA Dual 100G port accelerator card",
  ),
};

/** Storage of the site that a node mounts, called after its volume. */
export const storageModel: ComponentModel = {
  type: "Storage",
  model: "NAS",
  details: "Site-local NAS share",
};

function dedicated(type: string, model: string, bandwidth: number, details: string): ComponentModel {
  return { type, model, details, ports: { count: 2, bandwidth } };
}

/** The FABlib name of a component without ports in a graph, or undefined for one that this library does not write. */
export function componentName(type: string | undefined, model: string | undefined): string | undefined {
  return nameIn(componentModels, type, model);
}

/** The FABlib name of a card in a graph, or undefined for what is none. */
export function cardName(type: string | undefined, model: string | undefined): string | undefined {
  return nameIn(cardModels, type, model);
}

function nameIn(
  models: Readonly<Record<string, ComponentModel>>,
  type: string | undefined,
  model: string | undefined,
): string | undefined {
  return Object.entries(models).find(([, m]) => m.type === type && m.model === model)?.[0];
}

/** How FABRIC's resource summaries and the emulator count a component: `GPU-Tesla T4`. */
export function deviceKey({ type, model }: Pick<ComponentModel, "type" | "model">): string {
  return `${type}-${model}`;
}
