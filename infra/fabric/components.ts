/** A device that a node can have besides its network card. */
export interface ComponentModel {
  readonly type: string;
  readonly model: string;
  /** What FIM's catalogue says of it. */
  readonly details: string;
}

/** FABlib's model names to FIM's type and model. Only devices without ports: a NIC needs a network of its own. Source: FABlib 2.0.6, fabric-fim 2.0.0. */
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
};

/** The FABlib name of a component in a graph, or undefined for one that this library does not write. */
export function componentName(type: string | undefined, model: string | undefined): string | undefined {
  return Object.entries(componentModels).find(([, m]) => m.type === type && m.model === model)?.[0];
}
