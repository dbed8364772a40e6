import {
  type Host,
  type HostInput,
  type KubesprayOptions,
  type KubesprayOptionsInput,
  kubesprayOptionsSchema,
  parseHost,
} from "../../../infra/cluster/spec.js";

export const privateKey =
  "-----BEGIN OPENSSH PRIVATE KEY-----\nnobody's\n-----END OPENSSH PRIVATE KEY-----\n";

/** A machine of one's own. */
export const own = (last: number, more: Partial<HostInput> = {}): HostInput => ({
  address: `192.0.2.${last}`,
  user: "ubuntu",
  privateKey,
  ...more,
});

/** A virtual machine of FABRIC: management by IPv6, through the bastion, a data card without an address. */
export const fabric = (site: number, last: number, more: Partial<HostInput> = {}): HostInput => ({
  address: `2001:400:a100:${site}::${last}`,
  user: "ubuntu",
  privateKey,
  bastion: { host: "bastion.fabric-testbed.net", user: "someone_0001", privateKey },
  dataAddress: `10.${130 + site}.1.${last}`,
  network: {
    mac: `02:00:00:00:0${site}:${last.toString(16).padStart(2, "0")}`,
    subnet: `10.${130 + site}.1.0/24`,
    routes: [{ to: "10.128.0.0/10", via: `10.${130 + site}.1.1` }],
  },
  reset: false,
  ...more,
});

export const hostsOf = (inputs: Readonly<Record<string, HostInput>>): Record<string, Host> =>
  Object.fromEntries(Object.entries(inputs).map(([name, host]) => [name, parseHost(name, host)]));

export const optionsOf = (more: KubesprayOptionsInput = {}): KubesprayOptions =>
  kubesprayOptionsSchema.parse(more);
