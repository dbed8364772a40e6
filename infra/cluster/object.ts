/** A Kubernetes object as JSON. What is asked of it is asked by path, as a server of any version may send more. */
export interface Live {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Meta;
  readonly [field: string]: unknown;
}

/** Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/ */
export interface Meta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly managedFields?: readonly { readonly manager?: string; readonly operation?: string }[];
}

/** A value by its path: `at(pod, "status", "phase")`. */
export function at<T>(value: unknown, ...path: readonly (string | number)[]): T | undefined {
  let found = value;
  for (const step of path) found = (found as Readonly<Record<string | number, unknown>> | undefined)?.[step];
  return (found ?? undefined) as T | undefined;
}

export interface Condition {
  readonly type?: string;
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
}
export const conditionsOf = (live: Live): readonly Condition[] => at(live, "status", "conditions") ?? [];
