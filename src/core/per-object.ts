/**
 * What is computed once for an object and forgotten with it.
 * @module
 */

/** `make`, which is then called once per object: whoever asks again gets the same result. */
export function perObject<Key extends object, Value extends object>(
  make: (key: Key) => Value,
): (key: Key) => Value {
  const made = new WeakMap<Key, Value>();
  return (key) => {
    let value = made.get(key);
    if (value === undefined) {
      value = make(key);
      made.set(key, value);
    }
    return value;
  };
}
