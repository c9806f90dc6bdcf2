import type { Consumer, ModelConfig, ServingConfig } from '../contract/config.ts';
import { findModel, isAllowed } from './admit.ts';
import type { GatewayEvent } from './gateway.ts';
import { identifyCaller } from './identify.ts';

const toModel = ({ name, created, ownedBy }: ModelConfig) => ({
  id: name,
  object: 'model',
  created,
  owned_by: ownedBy,
});

/** `GET /v1/models`: those that the caller's tier includes. */
export function listModels(event: GatewayEvent, config: ServingConfig, registered?: Consumer): object {
  const { tier } = identifyCaller(event, config, registered);
  return { object: 'list', data: config.models.filter((model) => isAllowed(model, tier)).map(toModel) };
}

/** `GET /v1/models/{model}`. Names may hold slashes, which clients send encoded or not. @throws ApiError 404, 403 */
export function getModel(event: GatewayEvent, name: string, config: ServingConfig, registered?: Consumer): object {
  const { tier } = identifyCaller(event, config, registered);
  return toModel(findModel(config.modelByName.has(name) ? name : decoded(name), tier, config));
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
