/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.pharmacy;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the pharmacy keeps its remedies; a test puts a map in its place.
 *
 * @param <I> what identifies a remedy there
 */
public interface RemedyStore<I extends Comparable<? super I>> {

  /**
   * Looks a remedy up.
   *
   * @param id its identity in the store
   * @return the remedy, or nothing when the store has none of that identity
   */
  Optional<Remedy> find(I id);

  /** Stores a remedy under an identity; what stood there before is gone. */
  void put(I id, Remedy remedy);

  Map<I, Remedy> all();

  /** Finds the remedy or makes it, so that a caller need not ask twice. */
  default Remedy getOrCreate(I id, Supplier<? extends Remedy> maker) {
    return find(id).orElseGet(() -> {
      Remedy made = maker.get();
      put(id, made);
      return made;
    });
  }
}
