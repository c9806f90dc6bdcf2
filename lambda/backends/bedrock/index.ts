import type { Backend } from '../backend.ts';
import type { BedrockConfig } from './settings.ts';
import { unsupportedParameter } from './support.ts';

/** A model on Amazon Bedrock, through Converse and ConverseStream. The SDK is loaded by the first call. */
export function createBedrockBackend(config: BedrockConfig): Backend {
  return {
    id: config.id,
    unsupportedParameter: (request) => unsupportedParameter(request, config),
    stream: async (call) => (await import('./converse.ts')).stream(config, call),
    complete: async (call) => (await import('./converse.ts')).complete(config, call),
  };
}
