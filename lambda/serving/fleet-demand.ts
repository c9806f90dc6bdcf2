import type { RequestRecord } from './record.ts';

/** One request that wanted a fleet. */
export interface FleetDemand {
  readonly fleet: string;
  readonly namespace: string;
  readonly served: boolean;
}

/**
 * The fleets that a request wanted: the one that answered, and those that stood before it and were passed over, whether
 * they failed or weren't even asked. A fleet that sleeps has no metrics of its own; this is what wakes it.
 */
export function fleetDemand(record: RequestRecord): FleetDemand[] {
  const { candidates = [], backend, attempts } = record;
  const failures = attempts.flatMap(({ failure }) => failure ?? []);
  const answered = candidates.findIndex(({ id }) => id === backend);
  // A request that a backend refused, or that nobody waited for, went no further than that one.
  const last = failures.at(-1);
  const stopped =
    last?.kind === 'invalid-request' || last?.kind === 'aborted'
      ? candidates.findIndex(({ id }) => id === last.backend)
      : -1;
  const end = answered >= 0 ? answered : stopped >= 0 ? stopped : candidates.length - 1;
  return candidates.slice(0, end + 1).flatMap((candidate, index) => {
    if (candidate.kind !== 'openai-compatible' || candidate.fleet === undefined) return [];
    const { name: fleet, metricsNamespace: namespace } = candidate.fleet;
    return [{ fleet, namespace, served: index === answered || index === stopped }];
  });
}
