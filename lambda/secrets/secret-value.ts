/** The secret itself, or one field of a JSON object. The errors name no value. */
export function secretField(secret: string, jsonField: string | undefined): string {
  const value = jsonField === undefined ? secret : fieldOf(secret, jsonField);
  const trimmed = value.trim();
  if (trimmed === '')
    throw new SecretProblem(jsonField === undefined ? 'is empty' : `has an empty field '${jsonField}'`);
  return trimmed;
}

function fieldOf(secret: string, field: string): string {
  const fields = parseObject(secret);
  const value = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (typeof value === 'string') return value;
  // A service account's key is an object; in a secret of several parts it may stand as one.
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  throw new SecretProblem(`has no field '${field}' with a string or an object`);
}

export function parseObject(json: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    // Without the parser's message, which quotes the secret.
    throw new SecretProblem('is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SecretProblem('is no JSON object');
  return value as Record<string, unknown>;
}

/** What is wrong with a secret's content: the end of a sentence that begins with the secret. */
export class SecretProblem extends Error {
  override readonly name = 'SecretProblem';
}
