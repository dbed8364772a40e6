/**
 * The production sites as the emulator knows them when no scenario says otherwise. Numbers of workers and what a worker holds are those of the old
 * test advertisement where it has the site (facts: ../sites.ts); for the others three workers, with newer GPUs, are assumed.
 */
import { productionSites, siteWorkers, worker } from "../sites.js";

/** What one worker has. */
export interface WorkerSpec {
  readonly cores: number;
  readonly ram: number;
  readonly disk: number;
  readonly components: Readonly<Record<string, number>>;
}

const nic = { "SharedNIC-ConnectX-6": worker.sharedNics };

const fastNet = { ...nic, "SmartNIC-ConnectX-6": 2, "NVME-P4510": 4 };
const gpu = { ...nic, "GPU-RTX6000": 3, "NVME-P4510": 2 };
const slowNet = { ...nic, "SmartNIC-ConnectX-5": 2, "GPU-Tesla T4": 2, "NVME-P4510": 4 };
const newGpu = { ...nic, "GPU-A30": 2, "GPU-A40": 1, "SmartNIC-ConnectX-5": 2, "NVME-P4510": 4 };

/** Workers of a production site, in the order the broker tries them. */
export function defaultWorkers(site: string): readonly WorkerSpec[] {
  const old = siteWorkers[site] !== undefined;
  const third = old ? slowNet : newGpu;
  return Array.from({ length: siteWorkers[site] ?? 3 }, (_, i) => {
    const kind = i % 3;
    return {
      cores: worker.cores,
      ram: worker.ram,
      disk: kind === 1 ? 51_000 : worker.disk,
      components: kind === 0 ? fastNet : kind === 1 ? gpu : third,
    };
  });
}

export const defaultSiteNames: readonly string[] = productionSites;
