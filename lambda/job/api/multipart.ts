import { invalidRequest } from '../../serving/errors.ts';

export interface Part {
  readonly name: string;
  readonly filename: string | undefined;
  readonly text: string;
}

/**
 * The parts of a `multipart/form-data` body, as text: API Gateway hands it over as UTF-8, which JSONL is.
 *
 * @throws ApiError 400
 */
export function multipartParts(contentType: string | undefined, body: string): readonly Part[] {
  const [, quoted, bare] =
    /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType ?? '') ?? [];
  const boundary = quoted ?? bare;
  if (boundary === undefined) {
    throw invalidRequest("Expected a body of 'multipart/form-data'.", null, 'invalid_content_type');
  }
  // The first delimiter may stand at the very beginning. What only begins like one is content.
  const delimiter = new RegExp(`\\r\\n--${boundary.replace(/[^\w]/g, '\\$&')}(?=--|[ \\t]*\\r\\n)`);
  const sections = `\r\n${body}`.split(delimiter);
  if (!sections.at(-1)?.startsWith('--')) throw invalidRequest('The multipart body has no end.', null, 'invalid_body');
  return sections.slice(1, -1).map(partOf);
}

function partOf(section: string): Part {
  const end = section.indexOf('\r\n\r\n');
  const head = end < 0 ? section : section.slice(0, end);
  const disposition = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(head)?.[1] ?? '';
  return {
    name: parameter(disposition, 'name') ?? '',
    filename: parameter(disposition, 'filename'),
    text: end < 0 ? '' : section.slice(end + 4),
  };
}

function parameter(disposition: string, name: string): string | undefined {
  const [, quoted, bare] =
    new RegExp(`(?:^|;|\\s)${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^;\\s]+))`, 'i').exec(disposition) ?? [];
  return quoted ?? bare;
}
