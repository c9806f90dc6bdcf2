import type { ModelFleet } from '../fleet/model-fleet';
import type { Gateway } from '../gateway/gateway';
import type { Model } from '../model/model';
import { FleetBackend } from './backends/fleet';

/** A fleet, and the backends of a gateway's models that it is behind. */
export interface GatewayFleet {
  readonly fleet: ModelFleet;
  /** Of one task. */
  readonly expectedTokensPerHour: number;
  readonly backends: ReadonlyArray<{ readonly model: Model; readonly backendId: string }>;
}

/** The fleets behind a gateway's models, each once, in the order of the models. */
export function fleetsOf(gateway: Gateway): GatewayFleet[] {
  const found = new Map<
    ModelFleet,
    { expectedTokensPerHour: number; backends: { model: Model; backendId: string }[] }
  >();
  for (const model of gateway.models) {
    for (const backend of model.backends) {
      if (!(backend instanceof FleetBackend)) continue;
      const { expectedTokensPerHour, backendId } = backend;
      const known = found.get(backend.fleet) ?? { expectedTokensPerHour, backends: [] };
      found.set(backend.fleet, known);
      known.backends.push({ model, backendId });
    }
  }
  return [...found].map(([fleet, rest]) => ({ fleet, ...rest }));
}
