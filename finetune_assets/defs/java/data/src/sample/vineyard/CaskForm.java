/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a cask is asked for; it has grown with every wish of the vineyard. */
public class CaskForm {

  String mark;
  String vault;
  String applicant;
  String telephone;
  String remarks;
  int litres;
  LocalDate wantedFrom;

  CaskForm(
      String mark, String vault, String applicant, String telephone, String remarks, int litres,
      LocalDate wantedFrom) {
    this.mark = mark;
    this.vault = vault;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.litres = litres;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return mark != null && vault != null && applicant != null && wantedFrom != null;
  }

  public Cask toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Cask(mark, vault, litres, first);
  }

  public String summary() {
    return "%s wants %d litres in %s".formatted(applicant, litres, vault);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (mark == null) {
      names.add("mark");
    }
    if (vault == null) {
      names.add("vault");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
