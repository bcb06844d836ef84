/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.bakery;

import java.util.Map;

/**
 * A dough by baker's percentages: every ingredient is weighed against the flour.
 *
 * @param flour grams of flour, the measure of all the rest
 * @param shares each further ingredient with its share of the flour, {@code 0.65} for 65 percent
 */
public record Dough(int flour, Map<String, Double> shares) {

  /** Keeps a copy of the shares, so that nobody changes a recipe while it is being baked. */
  public Dough {
    shares = Map.copyOf(shares);
  }

  /** Returns the grams of one ingredient; one that the recipe does not name weighs nothing. */
  public long gramsOf(String ingredient) {
    return Math.round(flour * shares.getOrDefault(ingredient, 0.0));
  }

  /** Weighs the whole dough in grams. */
  public long weight() {
    return flour + shares.keySet().stream().mapToLong(this::gramsOf).sum();
  }

  /**
   * Scales the recipe so that it fills a number of tins.
   *
   * @param tins how many tins
   * @param gramsPerTin what one tin holds
   * @return a dough of the same shares that weighs at least as much
   */
  public Dough forTins(int tins, int gramsPerTin) {
    double whole = 1 + shares.values().stream().mapToDouble(Double::doubleValue).sum();
    return new Dough((int) Math.ceil(tins * gramsPerTin / whole), shares);
  }
}
