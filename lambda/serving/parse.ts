import type { ChatCompletionRequest } from '../contract/openai.ts';
import validate from '../generated/chat-completion-request.js';
import { ApiError, invalidRequest } from './errors.ts';
import type { GatewayEvent } from './gateway.ts';
import { jsonErrorOffset, lineAndColumn } from './json-position.ts';
import { describeProblem } from './schema-problem.ts';
import { checkSemantics, checkSendable } from './semantics.ts';

/**
 * A chat completion request out of an event's body. The content type isn't looked at: the body is JSON or it isn't, and
 * clients that send `text/plain` (browsers, to avoid a preflight) mean the same.
 *
 * @throws ApiError 400, naming the position or the parameter; 413
 */
export function parseChatRequest(
  event: Pick<GatewayEvent, 'body'>,
  maxBytes: number,
  own: readonly string[] = [],
): ChatCompletionRequest {
  const body = parseJson(bodyText(event, maxBytes));
  checkSendable(body);
  if (!validate(body)) {
    const [problem] = validate.errors ?? [];
    throw problem ? describeProblem(body, problem) : invalidRequest('Invalid request body.');
  }
  const request = body as ChatCompletionRequest;
  checkSemantics(request, own);
  return request;
}

/** Text always: the API declares no binary media types, so that API Gateway encodes nothing, and decodes UTF-8 itself. */
function bodyText(event: Pick<GatewayEvent, 'body'>, maxBytes: number): string {
  const body = event.body ?? '';
  // A character is one byte at least: long bodies needn't be measured.
  if (body.length > maxBytes || Buffer.byteLength(body) > maxBytes) {
    throw new ApiError(413, `Request body too large: the limit is ${maxBytes} bytes.`, {
      type: 'invalid_request_error',
      code: 'request_too_large',
    });
  }
  return body;
}

function parseJson(text: string): unknown {
  if (text.trim() === '')
    throw invalidRequest('The request body is empty; expected a JSON object.', null, 'invalid_json');
  try {
    return JSON.parse(text);
  } catch {
    const offset = jsonErrorOffset(text);
    const { line, column } = lineAndColumn(text, offset);
    const found =
      offset >= text.length
        ? 'the end of the body'
        : JSON.stringify(String.fromCodePoint(text.codePointAt(offset) ?? 0));
    throw invalidRequest(
      `We could not parse the JSON body of your request: unexpected ${found} at line ${line} column ${column} (offset ${offset}).`,
      null,
      'invalid_json',
    );
  }
}
