import Ajv, { type ErrorObject, type ValidateFunction } from 'ajv-draft-04';
import { isArray, isObject, type Json } from '../cloudformation/template.ts';
import type { MethodDefinition, ModelDefinition } from './definition.ts';
import { GatewayError } from './gateway-error.ts';
import type { GatewayRequest } from './request.ts';

/** Models are JSON schema draft-04; a body is validated only when the method has a model for its content type. */
export class RequestValidator {
  readonly #validators = new Map<string, ValidateFunction>();

  /** @throws Error when a model's schema is none */
  constructor(models: readonly ModelDefinition[], apiId: string) {
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, logger: false });
    const idOf = (name: string): string => `https://apigateway.amazonaws.com/restapis/${apiId}/models/${name}`;
    for (const { name, schema } of models) {
      if (!isObject(schema)) throw new Error(`model ${name}: the schema must be an object`);
      ajv.addSchema({ ...schema, id: idOf(name) }, idOf(name));
    }
    for (const { name } of models) {
      const validate = ajv.getSchema(idOf(name));
      if (validate !== undefined) this.#validators.set(name, validate);
    }
  }

  /** @throws GatewayError */
  validate(method: MethodDefinition, request: GatewayRequest, pathParameters: Readonly<Record<string, string>>): void {
    if (method.validateParameters) validateParameters(method, request, pathParameters);
    if (method.validateBody) this.#validateBody(method, request);
  }

  #validateBody(method: MethodDefinition, request: GatewayRequest): void {
    // Without a content type a body counts as JSON.
    const contentType = request.headers.get('content-type') ?? 'application/json';
    const mediaType = contentType.split(';')[0]?.trim().toLowerCase() ?? '';
    const name = method.requestModels[mediaType] ?? method.requestModels.$default;
    const validate = name === undefined ? undefined : this.#validators.get(name);
    // `Empty` and `Error` are models that every API has; neither refuses anything that gets here.
    if (validate === undefined) return;
    let body: unknown;
    try {
      body = JSON.parse(request.body.toString('utf8'));
    } catch {
      // Without the cause: it is no failure of the API's, and its message quotes the body.
      throw new GatewayError('BAD_REQUEST_BODY', { validationError: 'Invalid JSON' });
    }
    if (validate(body)) return;
    const errors = validate.errors ?? [];
    const validationError = `[${errors.map((error) => describe(error, body as Json)).join(', ')}]`;
    throw new GatewayError('BAD_REQUEST_BODY', { validationError });
  }
}

function validateParameters(
  method: MethodDefinition,
  request: GatewayRequest,
  pathParameters: Readonly<Record<string, string>>,
): void {
  const missing = Object.entries(method.requestParameters)
    .filter(([parameter, required]) => {
      const [, , place, ...rest] = parameter.split('.');
      const name = rest.join('.');
      if (!required) return false;
      if (place === 'path') return (pathParameters[name] ?? '') === '';
      return !(place === 'querystring' ? request.query.get(name) : request.headers.get(name));
    })
    .map(([parameter]) => parameter.split('.').slice(3).join('.'));
  if (missing.length === 0) return;
  throw new GatewayError('BAD_REQUEST_PARAMETERS', {
    message: `Missing required request parameters: [${missing.join(', ')}]`,
  });
}

/** In the words of the validator that API Gateway uses, where they are known. */
function describe(error: ErrorObject, body: Json): string {
  const params = error.params as Record<string, unknown>;
  switch (error.keyword) {
    case 'required':
      return `object has missing required properties (["${String(params.missingProperty)}"])`;
    case 'type': {
      const allowed = [params.type].flat().map((type) => JSON.stringify(type));
      const found = typeName(valueAt(body, error.instancePath));
      return `instance type (${found}) does not match any allowed primitive type (allowed: [${allowed.join(',')}])`;
    }
    case 'additionalProperties':
      return `object instance has properties which are not allowed by the schema: ["${String(params.additionalProperty)}"]`;
    case 'enum': {
      const found = JSON.stringify(valueAt(body, error.instancePath));
      return `instance value (${found}) not found in enum (possible values: ${JSON.stringify(params.allowedValues)})`;
    }
    default:
      return `${error.instancePath || 'instance'} ${error.message ?? error.keyword}`;
  }
}

function valueAt(body: Json, pointer: string): Json | undefined {
  let value: Json | undefined = body;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (isArray(value)) value = value[Number(key)];
    else value = isObject(value) ? value[key] : undefined;
  }
  return value;
}

function typeName(value: Json | undefined): string {
  if (value === null) return 'null';
  if (isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}
