import type { AgentDefinition } from '../cloudwatch/agent.ts';
import type { EngineKind } from '../engine/dialects.ts';

/** An ECS service, as its template describes it. */
export interface ServiceDefinition {
  readonly arn: string;
  /** `service/<cluster>/<service>`, as scaling refers to it. */
  readonly resourceId: string;
  /** The last part of the construct path that says something. */
  readonly label: string;
  readonly task: TaskDefinition;
  readonly desiredCount: number;
  readonly minHealthyPercent: number;
  readonly maxHealthyPercent: number;
  readonly healthCheckGraceMs: number;
  readonly circuitBreaker: { readonly enabled: boolean; readonly rollback: boolean };
  readonly targets: ReadonlyArray<{ readonly groupArn: string; readonly containerPort: number }>;
}

export interface TaskDefinition {
  readonly engine: EngineContainer;
  /** Sidecars that read metrics. */
  readonly agents: readonly AgentDefinition[];
}

export interface EngineContainer {
  readonly kind: EngineKind;
  readonly name: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What the task definition maps; others can't be reached. */
  readonly ports: readonly number[];
  readonly stopTimeoutMs: number;
}
