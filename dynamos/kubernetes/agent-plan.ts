import type { ServiceSpec } from "../../infra/local/service.js";
import type { AgentPlace } from "../placement.js";
import { agentServiceSpec } from "../services.js";
import { agentAccess, JOB_ACCOUNT } from "./access.js";
import { label } from "./names.js";
import { namespaceObjects, networkPolicies } from "./namespace.js";
import { needsOf } from "./needs.js";
import type { KubeObject, ObjectOf, PodTemplate } from "./objects.js";
import { FOLDER, hostOf, type Place, portOf, renderFor, SECRETS, secretFilesOf } from "./place.js";
import { containerOf, imageOf, KEPT, labelsOf, podOf, projected, secretSource } from "./pod.js";
import { DATA_CLAIM, volumeOf } from "./volumes.js";
import { metadataOf, serviceObjects } from "./workload.js";

/** The party's data, as an agent's jobs see them. */
const DATA_FOLDER = "/data";
const DATA_SIZE = "10Gi";
/** Where the agent writes the keys that its jobs verify grants by: a folder of its volume, which they see read-only. */
const WORK_NAME = "work";
const WORK = `${FOLDER}/${WORK_NAME}`;
/** The file that tells an agent what its jobs look like. */
const JOB_FILE = "job.json";
/** Longer than a job may live by its agent's own guard (LIFESPAN_MINUTES): this one is for a job whose agent is gone. */
const JOB_SECONDS = 210 * 60;
/** How long an ended job can be looked at. */
const JOB_KEPT_SECONDS = 600;
/** A pod takes longer to start than a process, its image's way to the node included. */
const START_SECONDS = "25";

/** A party: its namespace, its agent on its node, the agent's rights there, and its data. */
export function agentObjects({ party, node, role }: AgentPlace, place: Place): readonly KubeObject[] {
  const spec = clusterAgent({ party, node, role }, place);
  const account = label(spec.name);
  return [
    ...namespaceObjects("party", place),
    ...networkPolicies("party", place),
    ...agentAccess(account, place),
    ...volumeOf(DATA_CLAIM, DATA_SIZE, place, place.dataFolder).objects,
    ...serviceObjects(spec, place, {
      serviceAccountName: account,
      automountServiceAccountToken: true,
    }),
  ];
}

/** The agent's specification as a cluster needs it: its jobs are pods, and it is found by its Service's name. */
function clusterAgent(agent: AgentPlace, place: Place): ServiceSpec {
  const { env: local = {}, ...spec } = agentServiceSpec(agent, ".");
  // Folders of this machine: on a cluster, programs are in the jobs' image and data in their volume.
  const { EXPERIMENT_FOLDER: _programs, DATA_FOLDER: _data, ...env } = local;
  return {
    ...spec,
    env: {
      ...env,
      HTTP_ADVERTISE: `${hostOf(spec.name, place)}:${portOf("http")}`,
      JOB_RUNNER: "kubernetes",
      JOB_TEMPLATE_FILE: `{{folder}}/${JOB_FILE}`,
      // Steps reach a pod by its queue.
      STEP_CHANNEL: "queue",
      START_SECONDS,
    },
    files: [{ path: JOB_FILE, content: `${JSON.stringify(jobTemplate(agent, place), null, 1)}\n` }],
  };
}

/** The template of the jobs' pods, in the object that tells an agent what they look like. */
export const jobTemplateOf = (object: KubeObject): PodTemplate | undefined =>
  object.kind === "ConfigMap" && object.data?.[JOB_FILE] !== undefined
    ? (JSON.parse(object.data[JOB_FILE]) as ObjectOf<"Job">).spec?.template
    : undefined;

/** What each of an agent's jobs looks like. The agent adds its name, its program, and which job and queue it is for. */
export function jobTemplate(agent: AgentPlace, place: Place): ObjectOf<"Job"> {
  const { env = {}, ...agentSpec } = agentServiceSpec(agent, ".");
  const { name } = agentSpec;
  const { AMQP_HOST = "", AMQP_PORT = "", JOBS_AMQP_USER = "", JOBS_AMQP_PASSWORD_FILE = "" } = env;
  const amqp = {
    AMQP_HOST,
    AMQP_PORT,
    AMQP_USER: JOBS_AMQP_USER,
    AMQP_PASSWORD_FILE: JOBS_AMQP_PASSWORD_FILE,
  };
  const spec: ServiceSpec = { ...agentSpec, env: amqp };
  const { container, digest } = imageOf("microservice", place);
  const labels = { ...labelsOf(place), type: "microservice", app: label(`${name}-job`) };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { ...metadataOf(label(`${name}-job`), place), labels },
    spec: {
      // What a microservice had learnt is lost with it, so that it is never begun again.
      backoffLimit: 0,
      activeDeadlineSeconds: JOB_SECONDS,
      ttlSecondsAfterFinished: JOB_KEPT_SECONDS,
      template: {
        metadata: { labels, annotations: { "dynamos-fabric/image": digest } },
        spec: podOf(place, {
          // By name, past the scheduler: a job runs beside its party's data or not at all.
          nodeName: place.host,
          restartPolicy: "Never",
          serviceAccountName: JOB_ACCOUNT,
          terminationGracePeriodSeconds: 5,
          containers: [
            containerOf({
              name: "microservice",
              ...container,
              env: [
                ...Object.entries(renderFor(spec, place).env).map(([key, value]) => ({ name: key, value })),
                { name: "DATA_STEWARD_NAME", value: agent.party },
                { name: "DATA_FOLDER", value: DATA_FOLDER },
                { name: "GRANT_KEYS_FILE", value: `${WORK}/grant-keys.json` },
                { name: "HOME", value: "/tmp" },
              ],
              resources: needsOf("microservice").resources,
              volumeMounts: [
                { name: "tmp", mountPath: "/tmp" },
                { name: "secrets", mountPath: SECRETS, readOnly: true },
                { name: KEPT, mountPath: DATA_FOLDER, readOnly: true },
                { name: "agent", mountPath: WORK, subPath: WORK_NAME, readOnly: true },
              ],
            }),
          ],
          volumes: [
            { name: "tmp", emptyDir: {} },
            projected("secrets", secretFilesOf(spec).map(secretSource)),
            { name: KEPT, persistentVolumeClaim: { claimName: DATA_CLAIM, readOnly: true } },
            { name: "agent", persistentVolumeClaim: { claimName: label(name), readOnly: true } },
          ],
        }),
      },
    },
  };
}
