/** The contract between `CostMeter` and `lambda/meter`: JSON in an environment variable. */
export const METER_CONFIG_ENV = 'LLM_METER';

export interface MeterConfig {
  /** Of the gateway's metrics. */
  readonly namespace: string;
  readonly fleets: readonly MeteredFleet[];
}

export interface MeteredFleet {
  /** The dimension `fleet`. */
  readonly name: string;
  /** Of the fleet's metrics. */
  readonly namespace: string;
  readonly cluster: string;
  readonly service: string;
  readonly instanceHourlyUsd: number;
  /** With Spot: instances that are on-demand nevertheless. The first ones are. */
  readonly onDemandBase?: { readonly instances: number; readonly hourlyUsd: number };
  readonly gpusPerInstance: number;
  readonly tasksPerInstance: number;
  /** Of one task. */
  readonly expectedTokensPerHour: number;
  /** Pairs of model and backend: what the fleet answered is in their metrics. */
  readonly backends: ReadonlyArray<readonly [model: string, backend: string]>;
}
