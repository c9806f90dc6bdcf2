import { invalidRequest } from '../../serving/errors.ts';
import type { JobsScope } from './scope.ts';

/** @throws ApiError 400 */
export function parseObject({ event }: JobsScope): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    body = JSON.parse(event.body ?? '');
  } catch {
    throw invalidRequest('We could not parse the JSON body of your request.', null, 'invalid_json');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw invalidRequest('Invalid request body: expected a JSON object.', null, 'invalid_type');
  }
  return body as Record<string, unknown>;
}
