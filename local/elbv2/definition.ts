/** An application load balancer, as its template describes it. */
export interface LoadBalancerDefinition {
  readonly arn: string;
  readonly name: string;
  readonly dnsName: string;
  /** A connection on which nothing moves for so long is closed. */
  readonly idleTimeoutMs: number;
  readonly listeners: readonly ListenerDefinition[];
}

export interface ListenerDefinition {
  readonly port: number;
  readonly protocol: 'HTTP' | 'HTTPS';
  /** By priority; the last has no condition. */
  readonly rules: readonly RuleDefinition[];
}

export interface RuleDefinition {
  /** All must hold. */
  readonly conditions: readonly ConditionDefinition[];
  readonly action: ActionDefinition;
}

/** Holds when one of the patterns matches; they may have `*` and `?`. */
export interface ConditionDefinition {
  readonly field: 'path-pattern' | 'host-header' | 'http-request-method' | 'http-header';
  /** Of `http-header`. */
  readonly header?: string;
  readonly patterns: readonly string[];
}

export type ActionDefinition =
  | { readonly type: 'fixed-response'; readonly status: number; readonly contentType: string; readonly body: string }
  | { readonly type: 'forward'; readonly groups: ReadonlyArray<{ readonly arn: string; readonly weight: number }> };

export interface TargetGroupDefinition {
  readonly arn: string;
  readonly name: string;
  readonly algorithm: 'round_robin' | 'least_outstanding_requests' | 'weighted_random';
  /** Of the load balancer's own cookie. `undefined`: no stickiness. */
  readonly stickinessMs: number | undefined;
  readonly deregistrationDelayMs: number;
  readonly healthCheck: HealthCheckDefinition;
}

export interface HealthCheckDefinition {
  readonly path: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly healthyThreshold: number;
  readonly unhealthyThreshold: number;
  readonly isHealthy: (status: number) => boolean;
}
