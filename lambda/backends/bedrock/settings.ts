import type { BackendConfigOf } from '../../contract/config.ts';

export type BedrockConfig = BackendConfigOf<'bedrock'>;

/** What Converse accepts differs by model family in a few places; the id says which one it is. */
export type ModelFamily = 'anthropic' | 'nova' | 'openai' | 'other';

/**
 * Ids, inference profiles (`us.anthropic.…`) and ARNs of both carry the provider's name. An application inference
 * profile's ARN doesn't: there the config's `foundationModelId` says it. `other` gets nothing that only one family has.
 */
export function modelFamily(modelId: string): ModelFamily {
  if (/(^|[./])anthropic\./.test(modelId)) return 'anthropic';
  if (/(^|[./])amazon\.nova-/.test(modelId)) return 'nova';
  return /(^|[./])openai\./.test(modelId) ? 'openai' : 'other';
}
