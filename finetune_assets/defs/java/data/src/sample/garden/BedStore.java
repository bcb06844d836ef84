/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.garden;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the garden keeps its beds; a test puts a map in its place.
 *
 * @param <I> what identifies a bed there
 */
public interface BedStore<I extends Comparable<? super I>> {

  /**
   * Looks a bed up.
   *
   * @param id its identity in the store
   * @return the bed, or nothing when the store has none of that identity
   */
  Optional<Bed> find(I id);

  /** Stores a bed under an identity; what stood there before is gone. */
  void put(I id, Bed bed);

  Map<I, Bed> all();

  /** Finds the bed or makes it, so that a caller need not ask twice. */
  default Bed getOrCreate(I id, Supplier<? extends Bed> maker) {
    return find(id).orElseGet(() -> {
      Bed made = maker.get();
      put(id, made);
      return made;
    });
  }
}
