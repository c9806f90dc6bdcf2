import { checkMapping, type GatewayContext } from './context.ts';
import type { GatewayResponseDefinition } from './definition.ts';
import type { GatewayError } from './gateway-error.ts';

export interface WholeResponse {
  readonly status: number;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
  readonly body: Buffer;
}

const DEFAULT_TEMPLATE = '{"message":$context.error.messageString}';

/**
 * Characters. What API Gateway does with a value that is no header's (a validator's text quotes the body) isn't
 * documented; an answer with a shorter one is better than none.
 */
const MAX_HEADER_VALUE = 1024;

function headerValue(value: string): string {
  return value.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, MAX_HEADER_VALUE);
}

/** What clients get for an error of API Gateway's own: the response of its type, else that of all 4XX or 5XX. */
export class GatewayResponses {
  readonly #byType: ReadonlyMap<string, GatewayResponseDefinition>;

  /** @throws Error for an expression that isn't known */
  constructor(definitions: readonly GatewayResponseDefinition[]) {
    for (const { type, parameters } of definitions) {
      for (const expression of Object.values(parameters)) checkMapping(expression, `gateway response ${type}`);
    }
    this.#byType = new Map(definitions.map((definition) => [definition.type, definition]));
  }

  render(error: GatewayError, context: GatewayContext): WholeResponse {
    const fallback = this.#byType.get(error.status < 500 ? 'DEFAULT_4XX' : 'DEFAULT_5XX');
    const definition = this.#byType.get(error.type) ?? fallback;
    const templates = Object.entries(definition?.templates ?? {});
    const [type, template] = templates.find(([name]) => name === 'application/json') ?? templates[0] ?? [];
    // A template's variables without a value leave `null`: they stand where JSON values do.
    const body = context.substitute(template ?? DEFAULT_TEMPLATE, 'null');
    const headers = new Map<string, readonly [string, string]>([
      ['content-type', ['content-type', type ?? 'application/json']],
      ['x-amzn-errortype', ['x-amzn-ErrorType', error.errorType]],
    ]);
    for (const [parameter, expression] of Object.entries(definition?.parameters ?? {})) {
      const name = parameter.replace(/^gatewayresponse\.header\./, '');
      const value = context.mapped(expression);
      if (value !== undefined) headers.set(name.toLowerCase(), [name, headerValue(value)]);
    }
    return {
      status: definition?.statusCode ?? error.status,
      headers: [...headers.values()],
      body: Buffer.from(body),
    };
  }
}
