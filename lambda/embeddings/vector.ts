import { BackendError } from '../backends/backend.ts';

/**
 * Of length 1, so that a dot product is a cosine.
 *
 * @throws BackendError for what is no vector, or has another number of dimensions than its index
 */
export function toVector(id: string, value: unknown, dimensions: number): Float32Array {
  if (!Array.isArray(value)) throw new BackendError(id, 'protocol', 'the answer has no embedding');
  if (value.length !== dimensions) {
    throw new BackendError(id, 'protocol', `the embedding has ${value.length} dimensions, not ${dimensions}`);
  }
  const vector = Float32Array.from(value as number[]);
  const length = Math.hypot(...vector);
  if (!Number.isFinite(length) || length === 0)
    throw new BackendError(id, 'protocol', 'the embedding has no direction');
  return vector.map((number) => number / length);
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}
