/** The contract between `KillSwitch` and `lambda/pause`: JSON in an environment variable. */
export const KILL_SWITCH_ENV = 'LLM_KILL_SWITCH';

export interface KillSwitchConfig {
  /** Name of the ledger's table. */
  readonly table: string;
  /** ARN of the topic that is told. */
  readonly topic: string;
  /** Of the gateway's metrics: names it in messages. */
  readonly namespace: string;
  /** Where operators read on. */
  readonly runbook: string;
  /** What is done on which alarm. Messages of others are none of the function's business. */
  readonly alarms: readonly WatchedAlarm[];
}

export interface WatchedAlarm {
  readonly arn: string;
  /** None for an alarm that tells of pauses which were made elsewhere. */
  readonly pauses: readonly PauseOnAlarm[];
}

export interface PauseOnAlarm {
  readonly kind: 'consumer' | 'team' | 'model';
  readonly name: string;
  /** How long; absent: until somebody resumes it. */
  readonly ms?: number;
  /** What clients are told. */
  readonly reason: string;
}
