export { connect, ensureSupervisor, SupervisorClient } from "./client.js";
export { packageFolder, projectFolder } from "./package-folder.js";
export { holderOfPort, isPortFree } from "./ports.js";
export { LocalProcess, type LocalProcessArgs } from "./process.js";
export { rabbitmqPasswordHash } from "./rabbitmq-hash.js";
export type { ReadyCheck, ServiceFile, ServiceSpec, ServiceState, ServiceStatus } from "./service.js";
export { type StackStatus, shutdownStack, statusOf } from "./stack.js";
export { StateFolder } from "./state-folder.js";
