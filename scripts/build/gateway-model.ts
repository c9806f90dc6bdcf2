type Schema = Readonly<Record<string, unknown>>;

/**
 * The part of a request's schema that API Gateway checks: an object, with its required properties, of their types.
 *
 * API Gateway's answer to what it refuses can't name the parameter (`lib/private/gateway-responses.ts`), the handler's
 * does. So the model keeps out only what nobody could mean, before a function is paid for, and leaves the rest to the
 * handler. As a part of the same schema it refuses nothing that the handler would take.
 */
export function gatewayModel(schema: Schema): Schema {
  const properties = schema.properties as Readonly<Record<string, Schema>>;
  const required = schema.required as readonly string[];
  return {
    $schema: schema.$schema,
    title: schema.title,
    type: schema.type,
    required,
    properties: Object.fromEntries(required.map((name) => [name, shape(properties[name] ?? {}, schema)])),
  };
}

/** The type, and for an array its minimum length and its items' type. */
function shape(property: Schema, root: Schema): Schema {
  const { type, minItems, items } = property;
  return {
    type,
    ...(minItems !== undefined && { minItems }),
    ...(items !== undefined && { items: { type: resolve(items as Schema, root).type } }),
  };
}

function resolve(schema: Schema, root: Schema): Schema {
  const [, name] = /^#\/definitions\/(\w+)$/.exec(String(schema.$ref)) ?? [];
  return name === undefined ? schema : ((root.definitions as Record<string, Schema>)[name] ?? {});
}
