import { invalidRequest } from '../../serving/errors.ts';

/** OpenAI's limits: it is a part of an item's, which has some. */
const MAX_PAIRS = 16;
const MAX_METADATA_KEY = 64;
const MAX_METADATA_VALUE = 512;

/** @throws ApiError 400 */
export function checkMetadata(metadata: unknown): void {
  if (metadata == null) return;
  const pairs = typeof metadata === 'object' && !Array.isArray(metadata) ? Object.entries(metadata) : undefined;
  const isFine = pairs?.every(
    ([key, value]) => key.length <= MAX_METADATA_KEY && typeof value === 'string' && value.length <= MAX_METADATA_VALUE,
  );
  if (isFine && (pairs?.length ?? 0) <= MAX_PAIRS) return;
  throw invalidRequest(
    `Invalid 'metadata': expected up to ${MAX_PAIRS} texts of up to ${MAX_METADATA_VALUE} characters under names of up to ${MAX_METADATA_KEY}.`,
    'metadata',
    'invalid_value',
  );
}
