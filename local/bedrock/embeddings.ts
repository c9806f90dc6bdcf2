import { embeddingTokens, simulatedEmbedding } from '../model/embedding.ts';
import { invalid } from './errors.ts';

const TITAN_2_DIMENSIONS: readonly unknown[] = [256, 512, 1024];

/** What InvokeModel answers for a text embedding of Titan's or Cohere's; the vectors are simulated. */
export function embeddingAnswer(modelId: string, body: Readonly<Record<string, unknown>>): object {
  if (modelId.startsWith('amazon.titan-embed-text-v2'))
    return titan(body, 1024, ['dimensions', 'normalize', 'embeddingTypes']);
  if (/^amazon\.titan-embed/.test(modelId)) return titan(body, 1536, []);
  if (modelId.startsWith('cohere.embed-')) return cohere(body);
  throw invalid('InvokeModel answers for text embeddings of Titan and Cohere only; chat models are asked by Converse.');
}

function titan(body: Readonly<Record<string, unknown>>, most: number, optional: readonly string[]): object {
  const { inputText, dimensions = most } = body;
  if (typeof inputText !== 'string' || inputText === '') {
    throw invalid(
      'Malformed input request: #: required key [inputText] not found, please reformat your input and try again.',
    );
  }
  const stray = Object.keys(body).find((name) => name !== 'inputText' && !optional.includes(name));
  if (stray !== undefined) {
    throw invalid(
      `Malformed input request: extraneous key [${stray}] is not permitted, please reformat your input and try again.`,
    );
  }
  if (optional.length > 0 && !TITAN_2_DIMENSIONS.includes(dimensions)) {
    throw invalid(
      `Malformed input request: ${dimensions} is not a valid enum value, please reformat your input and try again.`,
    );
  }
  return {
    embedding: simulatedEmbedding(inputText, Number(dimensions)),
    inputTextTokenCount: embeddingTokens(inputText),
  };
}

function cohere({ texts, input_type: inputType }: Readonly<Record<string, unknown>>): object {
  if (!Array.isArray(texts) || typeof inputType !== 'string') {
    throw invalid('Malformed input request: required keys [texts, input_type] not found.');
  }
  return {
    response_type: 'embeddings_by_type',
    embeddings: { float: texts.map((text) => simulatedEmbedding(String(text), 1024)) },
    texts,
  };
}
