/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.printshop;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the printshop keeps its plates; a test puts a map in its place.
 *
 * @param <I> what identifies a plate there
 */
public interface PlateStore<I extends Comparable<? super I>> {

  /**
   * Looks a plate up.
   *
   * @param id its identity in the store
   * @return the plate, or nothing when the store has none of that identity
   */
  Optional<Plate> find(I id);

  /** Stores a plate under an identity; what stood there before is gone. */
  void put(I id, Plate plate);

  Map<I, Plate> all();

  /** Finds the plate or makes it, so that a caller need not ask twice. */
  default Plate getOrCreate(I id, Supplier<? extends Plate> maker) {
    return find(id).orElseGet(() -> {
      Plate made = maker.get();
      put(id, made);
      return made;
    });
  }
}
