import type { EmbeddingConfig } from '../contract/config.ts';
import type { Embedder } from './embedder.ts';

/** Its module, and with it an SDK, is loaded with the first text. */
export function createEmbedder(config: EmbeddingConfig): Embedder {
  let embedder: Promise<Embedder> | undefined;
  return {
    async embed(text, signal) {
      embedder ??= create(config);
      // A failure isn't kept: the next request tries again.
      embedder.catch(() => {
        embedder = undefined;
      });
      return (await embedder).embed(text, signal);
    },
  };
}

async function create(config: EmbeddingConfig): Promise<Embedder> {
  if (config.kind === 'bedrock') return (await import('./bedrock.ts')).createBedrockEmbedder(config);
  return (await import('./openai-compatible.ts')).createOpenAiCompatibleEmbedder(config);
}
