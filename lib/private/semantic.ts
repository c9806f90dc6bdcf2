import { SEARCH_REMEDY } from './cache-options';
import type { CacheConfig, EmbeddingConfig, ModelConfig } from './serving-config';

/** What speaks against the answers to similar requests that models' policies ask for. */
export function semanticProblems(
  models: readonly ModelConfig[],
  cache: CacheConfig | undefined,
  searches: boolean,
): string[] {
  const asking = models.filter(({ cache: policy }) => policy?.semantic !== undefined);
  const problems = searches
    ? []
    : asking.map(({ name }) => `semantic in the cache policy of model "${name}" ${SEARCH_REMEDY}`);
  const byId = new Map<string, EmbeddingConfig>();
  for (const { embedding } of [cache?.policy, ...asking.map((model) => model.cache)].flatMap(
    (p) => p?.semantic ?? [],
  )) {
    const known = byId.get(embedding.id);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(embedding)) {
      problems.push(
        `two different embeddings have the id "${embedding.id}": give one of them an embeddingId of its own`,
      );
    }
    byId.set(embedding.id, embedding);
  }
  const backends = models.flatMap((model) => model.backends.map(({ id }) => id));
  const shared = [...byId.keys()].find((id) => backends.includes(id));
  if (shared !== undefined) {
    problems.push(`a backend and an embedding have the id "${shared}": give the embedding an embeddingId of its own`);
  }
  return problems;
}
