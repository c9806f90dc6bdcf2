import { checkMapping, type GatewayContext } from './context.ts';
import type { IntegrationResponse, MockIntegration } from './definition.ts';
import { GatewayError } from './gateway-error.ts';
import type { WholeResponse } from './gateway-responses.ts';
import type { GatewayRequest } from './request.ts';
import { parseVtl, renderVtl, type Vtl } from './template-language.ts';

/** Answers without a backend: what a CORS preflight request gets. */
export class MockResponder {
  readonly #integration: MockIntegration;
  readonly #templates = new Map<IntegrationResponse, { readonly type: string; readonly vtl: Vtl }>();

  /** @throws Error when a template is beyond what is known */
  constructor(integration: MockIntegration) {
    this.#integration = integration;
    for (const response of integration.responses) {
      for (const expression of Object.values(response.parameters)) checkMapping(expression, 'mock integration');
      const entries = Object.entries(response.templates);
      const [type, template] = entries.find(([name]) => name === 'application/json') ?? entries[0] ?? [];
      if (type !== undefined) this.#templates.set(response, { type, vtl: parseVtl(template ?? '') });
    }
  }

  respond(request: GatewayRequest, context: GatewayContext): WholeResponse {
    const template = this.#integration.requestTemplates['application/json'] ?? '';
    const status = /["']?statusCode["']?\s*:\s*(\d{3})/.exec(template)?.[1];
    if (status === undefined) throw new GatewayError('API_CONFIGURATION_ERROR');
    const response =
      this.#integration.responses.find(
        ({ selectionPattern }) =>
          selectionPattern !== undefined && new RegExp(`^(?:${selectionPattern})$`).test(status),
      ) ?? this.#integration.responses.find(({ selectionPattern }) => selectionPattern === undefined);
    if (response === undefined) throw new GatewayError('API_CONFIGURATION_ERROR');
    const headers = new Map<string, readonly [string, string]>();
    const set = (name: string, value: string): unknown => headers.set(name.toLowerCase(), [name, value]);
    const body = this.#templates.get(response);
    if (body !== undefined) set('content-type', body.type);
    for (const [parameter, expression] of Object.entries(response.parameters)) {
      const value = context.mapped(expression);
      if (value !== undefined) set(parameter.replace(/^method\.response\.header\./, ''), value);
    }
    const rendered = body === undefined ? undefined : renderVtl(body.vtl, request, context);
    for (const [name, value] of rendered?.headers ?? []) set(name, value);
    return {
      status: response.statusCode,
      headers: [...headers.values()],
      body: Buffer.from(rendered?.text.trim() ?? ''),
    };
  }
}
