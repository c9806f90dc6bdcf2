/** Keywords that only say something about values which are no objects. */
const NOT_OF_OBJECTS = ['enum', 'const', 'items', 'prefixItems'];

/**
 * Whether a JSON schema can be one of an object (or says nothing of the type): Converse takes no other as a tool's
 * (API reference, ToolSpecification), and `type: object` beside a schema of something else is one that nothing satisfies.
 */
export function describesObject(schema: unknown): boolean {
  if (schema === undefined || schema === null) return true;
  if (typeof schema !== 'object' || Array.isArray(schema)) return false;
  const { type, anyOf, oneOf } = schema as Readonly<Record<string, unknown>>;
  if (type !== undefined) return type === 'object';
  if (NOT_OF_OBJECTS.some((keyword) => Object.hasOwn(schema, keyword))) return false;
  return [anyOf, oneOf].every((branches) => !Array.isArray(branches) || branches.every(describesObject));
}
