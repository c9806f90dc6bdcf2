export interface Embedded {
  readonly vector: Float32Array;
  /** As they are billed; absent when the model didn't say. */
  readonly tokens?: number;
}

/** What turns a text into a vector. Texts of the same meaning have vectors with a high cosine, more or less. */
export interface Embedder {
  /** @throws BackendError */
  embed(text: string, signal: AbortSignal): Promise<Embedded>;
}
