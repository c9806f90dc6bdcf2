import type { ModelSize } from '../../fleet/model-weights';

/**
 * Sizes of models that are often served: parameters as on their model cards, KV cache from `config.json`
 * (2 × num_hidden_layers × num_key_value_heads × head_dim × 2 bytes), and so the longest context
 * (max_position_embeddings).
 */
const SIZES: Readonly<Record<string, ModelSize>> = {
  'meta-llama/llama-3.1-8b-instruct': { parametersBillions: 8.03, kvCacheKiBPerToken: 128, maxContextLength: 131072 },
  'meta-llama/llama-3.3-70b-instruct': { parametersBillions: 70.6, kvCacheKiBPerToken: 320, maxContextLength: 131072 },
  'mistralai/mistral-small-24b-instruct-2501': {
    parametersBillions: 23.6,
    kvCacheKiBPerToken: 160,
    maxContextLength: 32768,
  },
  'qwen/qwen3-8b': { parametersBillions: 8.19, kvCacheKiBPerToken: 144, maxContextLength: 40960 },
  'qwen/qwen3-32b': { parametersBillions: 32.8, kvCacheKiBPerToken: 256, maxContextLength: 40960 },
};

export function knownSize(repository: string): ModelSize | undefined {
  const id = repository.toLowerCase();
  return Object.hasOwn(SIZES, id) ? SIZES[id] : undefined;
}
