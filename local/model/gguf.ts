import type { TextModel } from './text-model.ts';

export async function createGgufModel(_file: string): Promise<TextModel> {
  throw new Error('not yet');
}
