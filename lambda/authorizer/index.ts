import { authorize } from './authorize.ts';

export const handler = async (event: Parameters<typeof authorize>[0]) => authorize(event);
